//! Calls of recorded runs: what policies would have been asked.

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
}

impl RecordedCalls {
    /// Returns a reader that has seen no event.
    pub fn new() -> Self {
        Self { facts: json!({}), ..Self::default() }
    }

    /// Returns the call of an event, if it is one that policies are asked about. An event that this
    /// version does not know is none.
    pub fn next(&mut self, event: &Event) -> Option<PolicyCall> {
        match event.kind.as_str() {
            "run.created" => {
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
            TOOL_CALLED => {
                let EventBody::Reported(reported) = event.body().ok()? else { return None };
                let data = reported.data();
                let name = text(data, "name");
                let call = json!({
                    "name": name, "arguments": data["arguments"], "step": data["step"],
                    "side_effect": data["side_effect"],
                });
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
                let names = [model].into_iter().chain(whole).collect();
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
            "step.completed" => {
                self.steps += 1;
                None
            }
            _ => None,
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
