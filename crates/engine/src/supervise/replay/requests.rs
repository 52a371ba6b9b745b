//! Requests of calls in a strict replay: a call that the record does not have is compared with the
//! recorded one that it comes nearest to.

use std::collections::VecDeque;

use errand_agent::agent_api::{ModelCallStart, Refusal, ToolCallStart};
use errand_model::accounting::{MODEL_REQUESTED, TOOL_CALLED};
use errand_model::event::{Event, EventBody};
use errand_model::replay::{ComparedRequest, Divergence, RequestDifference};
use errand_model::{Digest, canonical, request_record};
use errand_wire::{CanonicalRequest, IgnorePointer, WireFormat};
use serde_json::{Value, json};

use super::Replayed;
use crate::{again, payload};

/// Recorded calls that a new one is compared with: parallel agents make some out of their order.
const CANDIDATES: usize = 16;
/// Earlier requests of the record that a later one may refer to.
const EARLIER: usize = 64;

/// A call of the record with its request.
struct RecordedCall {
    key: String,
    request: ComparedRequest,
}

impl Replayed {
    /// Compares a model call with the record, before it is begun.
    ///
    /// # Errors
    ///
    /// The refusal of a call that the record does not have. The replay has failed then.
    pub(super) async fn check_model_call(&self, call: &ModelCallStart) -> Result<(), Refusal> {
        let Some(waiting) = self.waiting_for(&call.key, "model") else { return Ok(()) };
        let request = call.request.clone().unwrap_or_default();
        let data = self.journaled.masked_json(Value::Object(request));
        let body = request_record::read(&data, |_| None).map(|(_, body)| body).unwrap_or_default();
        let found = model_request(&data, &body, &self.ignored);
        let calls = self.recorded_requests(&waiting).await;
        self.check_request(("model request", &call.key), &calls, &found).await
    }

    /// Compares a tool call with the record, before it is begun.
    ///
    /// # Errors
    ///
    /// As [`Self::check_model_call`].
    pub(super) async fn check_tool_call(&self, call: &ToolCallStart) -> Result<(), Refusal> {
        let Some(waiting) = self.waiting_for(&call.key, "tool") else { return Ok(()) };
        let arguments = self.journaled.masked_json(call.arguments.clone());
        let found = tool_request(&call.tool.offered, &arguments);
        let calls = self.recorded_arguments(&waiting).await;
        self.check_request(("tool call", &call.key), &calls, &found).await
    }

    /// Returns the calls of a kind that the replay has not made, if it makes one that the record
    /// does not have.
    fn waiting_for(&self, key: &str, kind: &str) -> Option<Vec<String>> {
        let record = self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = self.translate.text(&self.journaled.masked_text(key));
        if record.has_step(&key) || self.failure().is_some() {
            return None;
        }
        let mut waiting = record.unbegun_of(kind);
        waiting.truncate(CANDIDATES);
        Some(waiting)
    }

    /// Fails the replay with the difference from the nearest of the recorded calls; of several as
    /// near, the first. Without one, the step is compared as any other.
    async fn check_request(
        &self,
        (what, key): (&str, &str),
        calls: &[RecordedCall],
        found: &ComparedRequest,
    ) -> Result<(), Refusal> {
        let differences =
            calls.iter().map(|call| (call, RequestDifference::of(&call.request, found)));
        let nearest = differences.min_by_key(|(_, difference)| difference.members);
        let Some((call, difference)) = nearest else { return Ok(()) };
        let shown =
            |key: &str, request: &ComparedRequest| format!("step {key:?}: {}", request.head);
        let (left, right) = (shown(&call.key, &call.request), shown(key, found));
        let divergence = Divergence::of_requests(what, &left, &right, difference).at_step(key);
        Err(super::refusal(&self.fail(divergence).await))
    }

    /// Returns the recorded requests of model calls, in the order of the journal. What cannot be
    /// read is left out: the steps are then compared without it.
    async fn recorded_requests(&self, keys: &[String]) -> Vec<RecordedCall> {
        let mut earlier: VecDeque<(Digest, String)> = VecDeque::new();
        let mut calls: Vec<RecordedCall> = Vec::new();
        for data in self.recorded_data(MODEL_REQUESTED).await {
            let find = |base: &Digest| {
                let found = earlier.iter().rev().find(|(digest, _)| digest == base);
                found.map(|(_, body)| body.clone())
            };
            let Some((digest, body)) = request_record::read(&data, find) else { continue };
            let step = data["step"].as_str().filter(|step| keys.iter().any(|key| key == step));
            if let Some(key) = step
                && calls.iter().all(|call| call.key != key)
            {
                let request = model_request(&data, &body, &self.ignored);
                calls.push(RecordedCall { key: key.to_owned(), request });
            }
            earlier.push_back((digest, body));
            if earlier.len() > EARLIER {
                earlier.pop_front();
            }
        }
        calls
    }

    /// Returns the recorded arguments of tool calls: as the agent gave them where the step shows them
    /// whole, else as the server got them.
    async fn recorded_arguments(&self, keys: &[String]) -> Vec<RecordedCall> {
        let called = self.recorded_data(TOOL_CALLED).await;
        let started = self.recorded_details(keys).await;
        let calls = keys.iter().filter_map(|key| {
            let detail = started.iter().find(|(step, _)| step == key).map(|(_, detail)| detail);
            let given = detail.and_then(|detail| {
                let (name, arguments) = detail.split_once(' ')?;
                Some(tool_request(name, &serde_json::from_str(arguments).ok()?))
            });
            let request = given.or_else(|| {
                let data = called.iter().find(|data| data["step"] == key.as_str())?;
                Some(tool_request(data["name"].as_str()?, &data["arguments"]))
            })?;
            Some(RecordedCall { key: key.clone(), request })
        });
        calls.collect()
    }

    /// Returns the descriptions of steps.
    async fn recorded_details(&self, keys: &[String]) -> Vec<(String, String)> {
        let events = self.recorded_events().await;
        let started = events.iter().filter_map(|event| {
            let Ok(EventBody::StepStarted(step)) = event.body() else { return None };
            Some((step.key, step.detail?)).filter(|(key, _)| keys.contains(key))
        });
        started.collect()
    }

    /// Returns the data of the recorded events of a type, with the members that are kept elsewhere.
    async fn recorded_data(&self, kind: &str) -> Vec<Value> {
        let blobs = self.engine.blobs();
        let events = self.recorded_events().await;
        let data = events.iter().filter(|event| event.kind == kind).filter_map(|event| {
            let data = serde_json::from_str(&event.data).ok()?;
            payload::restored(&blobs, data).ok()
        });
        data.collect()
    }

    async fn recorded_events(&self) -> Vec<Event> {
        again::journal(&self.engine, &self.of).await.unwrap_or_default()
    }
}

/// Returns the request of a model call in the form whose digest is the key of its step.
fn model_request(data: &Value, body: &str, ignored: &[IgnorePointer]) -> ComparedRequest {
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let (method, path) = (text("method"), text("path"));
    let head = format!("{method} {path}");
    let whole = || Value::String(body.to_owned());
    let format = WireFormat::of(method, path);
    let canonical = if format == WireFormat::Opaque {
        serde_json::from_str(body).ok()
    } else {
        let request = CanonicalRequest::of(format, path, body.as_bytes(), ignored).ok();
        request.and_then(|request| serde_json::from_str(request.body()).ok())
    };
    ComparedRequest { head, body: canonical.unwrap_or_else(whole) }
}

/// Returns the request of a tool call.
fn tool_request(name: &str, arguments: &Value) -> ComparedRequest {
    let head = format!("{name} {}", canonical::to_string(arguments));
    let head = head.chars().take(HEAD_CHARS).collect();
    ComparedRequest { head, body: json!({ "tool": name, "arguments": arguments }) }
}

/// Characters of a tool call in the first lines of a difference.
const HEAD_CHARS: usize = 200;
