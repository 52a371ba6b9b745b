//! Calls of recorded runs: what policies would have been asked.

use std::collections::BTreeMap;

use errand_api::agent_file::PolicyHook;
use errand_model::accounting::{MODEL_CALLED, TOOL_CALLED};
use errand_model::event::EventBody;
use errand_model::{Event, Payload};
use serde_json::{Value, json};

use crate::call::PolicyCall;

/// Reader of a run's journal, event by event.
#[derive(Clone, Debug, Default)]
pub struct RecordedCalls {
    /// Facts of the run, from its first event.
    facts: Value,
    model_calls: u64,
    tool_calls: u64,
    steps: u64,
    /// Calls whose steps have not ended yet, by the keys of the steps.
    open: BTreeMap<String, (PolicyHook, Vec<String>, Value)>,
}

impl RecordedCalls {
    /// Returns a reader that has seen no event.
    pub fn new() -> Self {
        Self { facts: json!({}), ..Self::default() }
    }

    /// Returns the calls of an event that policies are asked about. An event that this version does not
    /// know has none.
    pub fn next(&mut self, event: &Event) -> Vec<PolicyCall> {
        self.call_of(event).into_iter().chain(self.replay_of(event)).collect()
    }

    /// Returns the replay that a run is.
    fn replay_of(&self, event: &Event) -> Option<PolicyCall> {
        let EventBody::RunCreated(spec) = event.body().ok()? else { return None };
        let replay = spec.replay.as_ref()?;
        let kind = serde_json::to_value(replay.policy).unwrap_or_default();
        let names = kind.as_str().map(str::to_owned).into_iter().collect();
        let call = json!({ "of": replay.of, "policy": kind });
        Some(self.call(PolicyHook::OnReplay, names, call))
    }

    fn call_of(&mut self, event: &Event) -> Option<PolicyCall> {
        match event.kind.as_str() {
            "run.created" => self.trigger_of(event),
            TOOL_CALLED => {
                let EventBody::Reported(reported) = event.body().ok()? else { return None };
                let data = reported.data();
                let name = text(data, "name");
                let call = json!({
                    "name": name, "arguments": data["arguments"], "step": data["step"],
                    "side_effect": data["side_effect"],
                });
                self.note(data, (PolicyHook::AfterTool, vec![name.clone()], call.clone()));
                let found = self.call(PolicyHook::BeforeTool, vec![name], call);
                self.tool_calls += 1;
                Some(found)
            }
            MODEL_CALLED => {
                let EventBody::Reported(reported) = event.body().ok()? else { return None };
                let data = reported.data();
                let model = text(data, "model");
                let whole = data["provider"].as_str().map(|provider| format!("{provider}/{model}"));
                let call = json!({
                    "provider": data["provider"], "model": model, "step": data["step"],
                    "tokens": data["input_tokens"].as_u64().unwrap_or(0)
                        + data["output_tokens"].as_u64().unwrap_or(0),
                });
                let names: Vec<String> = [model].into_iter().chain(whole).collect();
                self.note(data, (PolicyHook::AfterModel, names.clone(), call.clone()));
                let found = self.call(PolicyHook::BeforeModel, names, call);
                self.model_calls += 1;
                Some(found)
            }
            "message.sent" => {
                let EventBody::MessageSent(sent) = event.body().ok()? else { return None };
                let call =
                    json!({ "to": sent.to, "type": sent.kind, "payload": value_of(&sent.payload) });
                Some(self.call(PolicyHook::OnMessage, vec![sent.to], call))
            }
            "artifact.created" => {
                let EventBody::ArtifactCreated(created) = event.body().ok()? else { return None };
                let call = json!({ "name": created.name, "media_type": created.media_type });
                Some(self.call(PolicyHook::OnArtifact, vec![created.name], call))
            }
            "step.completed" => self.result_of(event),
            "egress.closed" => {
                let EventBody::EgressClosed(closed) = event.body().ok()? else { return None };
                let call = json!({ "host": closed.host, "port": closed.port, "kind": closed.kind });
                let names = vec![format!("{}:{}", closed.host, closed.port)];
                Some(self.call(PolicyHook::OnEgress, names, call))
            }
            _ => None,
        }
    }

    /// Returns the trigger of a run, and remembers the facts of the run.
    fn trigger_of(&mut self, event: &Event) -> Option<PolicyCall> {
        let EventBody::RunCreated(spec) = event.body().ok()? else { return None };
        self.facts = json!({
            "run": {
                "id": event.run_id, "kind": spec.kind, "name": spec.name,
                "labels": spec.labels, "session_id": spec.session_id,
                "namespace": spec.namespace,
            },
            "agent": { "name": spec.agent.name, "version": spec.agent.version },
            "caller": spec.by,
        });
        let trigger = serde_json::to_value(&spec.trigger).unwrap_or_default();
        let kind = trigger["type"].as_str().unwrap_or_default().to_owned();
        let payload = spec.input.as_ref().map(value_of).unwrap_or_default();
        let call = json!({ "trigger": trigger, "payload": payload });
        Some(self.call(PolicyHook::AgentTrigger, vec![kind], call))
    }

    /// Returns the result of a call with the end of its step.
    fn result_of(&mut self, event: &Event) -> Option<PolicyCall> {
        self.steps += 1;
        let EventBody::StepCompleted(completed) = event.body().ok()? else { return None };
        let (hook, names, mut call) = self.open.remove(&completed.key)?;
        let output = completed.output.as_ref().map(value_of).unwrap_or_default();
        call["result"] = if hook == PolicyHook::AfterModel {
            // An answer is recorded as its provider sent it.
            json!({ "text": output["body"], "tool_calls": [] })
        } else {
            output
        };
        Some(self.call(hook, names, call))
    }

    /// Remembers a call whose result is recorded with the end of its step.
    fn note(&mut self, data: &Value, call: (PolicyHook, Vec<String>, Value)) {
        if let Some(step) = data["step"].as_str() {
            self.open.insert(step.to_owned(), call);
        }
    }

    fn call(&self, hook: PolicyHook, names: Vec<String>, call: Value) -> PolicyCall {
        let mut facts = self.facts.clone();
        facts["so_far"] = json!({
            "steps": self.steps, "model_calls": self.model_calls, "tool_calls": self.tool_calls,
        });
        PolicyCall::new(hook, names, call, &facts)
    }
}

fn text(data: &Value, member: &str) -> String {
    data[member].as_str().unwrap_or_default().to_owned()
}

/// Returns a payload as policies see it. What is too long for the journal is seen by its digest.
fn value_of(payload: &Payload) -> Value {
    match payload {
        Payload::Json(value) => value.clone(),
        Payload::Text(text) | Payload::Base64(text) => Value::String(text.clone()),
        Payload::Blob(blob) => json!({ "digest": blob.digest, "size_bytes": blob.size_bytes }),
    }
}
