//! Model and tool calls in a journal, with their bodies put together.

use std::collections::VecDeque;

use errand_model::{Digest, Event, Payload, RunId, request_record};
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::output::blob_bytes;
use super::tool_calls::ToolCallShown;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Earlier requests that later ones may refer to.
const EARLIER: usize = 64;

/// A model call of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Call {
    /// Key of its step; `None` for a call that the agent reported without one.
    pub(super) step: Option<String>,
    pub(super) attempt: u32,
    pub(super) at_ms: i64,
    /// Number of the event with which it began.
    #[serde(skip)]
    pub(super) seq: u64,
    /// `under_way`, `completed` or `failed`.
    pub(super) status: &'static str,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) format: Option<String>,
    pub(super) path: Option<String>,
    /// Data of `model.try_failed`, for each try after which another model was called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed_tries: Vec<Value>,
    /// Data of `model.called`.
    pub(super) usage: Option<Value>,
    pub(super) error: Option<Value>,
    /// Text about the budget that errand added to the request for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instruction: Option<String>,
    /// True if the bodies are not kept, by the sampling of the agent.
    #[serde(rename = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_left_out: bool,
    /// Body of the request as the agent sent it; `None`: it was not recorded, or is not asked for.
    pub(super) request: Option<String>,
    /// Answer as the step keeps it: status, headers, body.
    pub(super) answer: Option<Value>,
}

/// Gatherer of a run's model and tool calls from its events, in their order.
pub(super) struct Gatherer<'a> {
    place: &'a RegistryOrServer,
    run_id: &'a RunId,
    wants_bodies: bool,
    calls: Vec<Call>,
    tools: Vec<ToolCallShown>,
    earlier: VecDeque<(Digest, String)>,
}

impl<'a> Gatherer<'a> {
    pub(super) const fn new(
        place: &'a RegistryOrServer,
        run_id: &'a RunId,
        wants_bodies: bool,
    ) -> Self {
        Self {
            place,
            run_id,
            wants_bodies,
            calls: Vec::new(),
            tools: Vec::new(),
            earlier: VecDeque::new(),
        }
    }

    pub(super) fn into_calls(self) -> (Vec<Call>, Vec<ToolCallShown>) {
        (self.calls, self.tools)
    }

    /// Takes in the next event.
    pub(super) async fn take(&mut self, event: &Event) -> Result<(), Failure> {
        self.tools.extend(ToolCallShown::of(event));
        let kinds = [
            "model.requested",
            "model.called",
            "model.try_failed",
            "step.completed",
            "step.failed",
        ];
        if !kinds.contains(&event.kind.as_str()) {
            return Ok(());
        }
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.kind.as_str() {
            "model.requested" => self.requested(event, &data).await?,
            "model.called" => self.called(event, data),
            "model.try_failed" => {
                if let Some(call) = self.of_step(data["step"].as_str()) {
                    call.failed_tries.push(data);
                }
            }
            "step.completed" => self.completed(&data).await?,
            _ => {
                if let Some(call) = self.of_step(data["key"].as_str()) {
                    call.status = "failed";
                    call.error = Some(data["error"].clone());
                }
            }
        }
        Ok(())
    }

    async fn completed(&mut self, data: &Value) -> Result<(), Failure> {
        let key = data["key"].as_str();
        if let Some(call) = self.of_step(key) {
            call.status = "completed";
        } else if !self.tools.iter().any(|tool| tool.awaits_result_of(key)) {
            return Ok(());
        }
        let output = serde_json::from_value::<Payload>(data["output"].clone());
        let (true, Ok(output)) = (self.wants_bodies, output) else { return Ok(()) };
        let output = self.whole(output).await?;
        if let Some(call) = self.of_step(key) {
            call.answer = Some(output);
        } else if let Some(tool) = self.tools.iter_mut().find(|tool| tool.awaits_result_of(key)) {
            tool.result = Some(output);
        }
        Ok(())
    }

    /// Returns the value of an output.
    async fn whole(&self, output: Payload) -> Result<Value, Failure> {
        Ok(match output {
            Payload::Json(value) => value,
            Payload::Blob(blob) => {
                let bytes = blob_bytes(self.place, self.run_id, &blob.digest).await?;
                serde_json::from_slice(&bytes).unwrap_or_default()
            }
            Payload::Text(text) | Payload::Base64(text) => Value::String(text),
        })
    }

    async fn requested(&mut self, event: &Event, data: &Value) -> Result<(), Failure> {
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        // The request of a call that failed may be recorded at its end alone.
        self.calls.retain(|call| {
            let is_same = call.step == text("step") && call.attempt == event.attempt;
            !(is_same && call.is_left_out && call.status == "under_way")
        });
        let mut call = Call {
            step: text("step"),
            attempt: event.attempt,
            at_ms: event.at.as_millis(),
            seq: event.seq,
            status: "under_way",
            provider: text("provider"),
            model: text("model"),
            format: text("format"),
            path: text("path"),
            instruction: text("instruction"),
            is_left_out: request_record::is_left_out(data),
            ..Call::default()
        };
        if self.wants_bodies {
            let mut whole = Map::new();
            for (name, value) in data.as_object().into_iter().flatten() {
                whole.insert(name.clone(), self.put_back(value.clone()).await?);
            }
            let find = |base: &Digest| {
                let found = self.earlier.iter().rev().find(|(digest, _)| digest == base);
                found.map(|(_, body)| body.clone())
            };
            if let Some((digest, body)) = request_record::read(&Value::Object(whole), find) {
                call.request = Some(body.clone());
                self.earlier.push_back((digest, body));
                if self.earlier.len() > EARLIER {
                    self.earlier.pop_front();
                }
            }
        }
        self.calls.push(call);
        Ok(())
    }

    fn called(&mut self, event: &Event, data: Value) {
        if let Some(call) = self.of_step(data["step"].as_str()) {
            call.usage = Some(data);
            return;
        }
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        let failed = data["success"] == Value::Bool(false);
        self.calls.push(Call {
            step: text("step"),
            attempt: event.attempt,
            at_ms: event.at.as_millis(),
            seq: event.seq,
            status: if failed { "failed" } else { "completed" },
            provider: text("provider"),
            model: text("model"),
            usage: Some(data),
            ..Call::default()
        });
    }

    /// Returns the last call of a step that came through the gateway.
    fn of_step(&mut self, key: Option<&str>) -> Option<&mut Call> {
        let is_of_step = |call: &&mut Call| call.format.is_some() && call.step.as_deref() == key;
        key.and_then(|_| self.calls.iter_mut().rev().find(is_of_step))
    }

    /// Returns a value with the bytes of its blob, if it stands for one.
    async fn put_back(&self, value: Value) -> Result<Value, Failure> {
        let digest = value["$blob"]["digest"].as_str().and_then(|text| text.parse().ok());
        let Some(digest) = digest else { return Ok(value) };
        let bytes = blob_bytes(self.place, self.run_id, &digest).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(value))
    }
}
