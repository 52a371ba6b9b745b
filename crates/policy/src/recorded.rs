//! Calls of recorded runs: what policies would have been asked.

use std::collections::BTreeMap;

use errand_api::agent_file::PolicyHook;
use errand_model::accounting::{MODEL_CALLED, TOOL_CALLED};
use errand_model::event::EventBody;
use errand_model::run::CallSummary;
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
    /// Tools called, and labels of data, so far.
    summary: CallSummary,
    /// Calls whose steps have not ended yet, by the keys of the steps.
    open: BTreeMap<String, (PolicyHook, Vec<String>, Value)>,
    /// Refused call that was seen last: each policy of a run has its own event about it.
    refused: Option<DecidedOn>,
    /// Calls about which a person was asked, and which may be made later.
    asked: Vec<DecidedOn>,
}

/// Call that an event of a decision is about.
#[derive(Clone, Debug, PartialEq)]
struct DecidedOn {
    hook: PolicyHook,
    subject: String,
    step: Value,
    call: Value,
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
                let on_server = data["tool"].as_str().map(str::to_owned);
                let call = json!({
                    "server": data["server"], "name": on_server.as_ref().unwrap_or(&name),
                    "arguments": data["arguments"], "step": data["step"],
                    "side_effect": data["side_effect"],
                });
                let was_seen = self.was_asked(PolicyHook::BeforeTool, &name, &data["step"]);
                let names: Vec<String> = [name].into_iter().chain(on_server).collect();
                self.note(data, (PolicyHook::AfterTool, names.clone(), call.clone()));
                let found = self.call(PolicyHook::BeforeTool, names, call);
                self.tool_calls += 1;
                self.summary.add_tool(data);
                (!was_seen).then_some(found)
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
                let was_seen = self.was_asked(PolicyHook::BeforeModel, &model, &data["step"]);
                let names: Vec<String> = [model].into_iter().chain(whole).collect();
                self.note(data, (PolicyHook::AfterModel, names.clone(), call.clone()));
                let found = self.call(PolicyHook::BeforeModel, names, call);
                self.model_calls += 1;
                (!was_seen).then_some(found)
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
            "policy.decided" => self.not_made(event),
            "egress.closed" => {
                let EventBody::EgressClosed(closed) = event.body().ok()? else { return None };
                let call = json!({ "host": closed.host, "port": closed.port, "kind": closed.kind });
                let names = vec![format!("{}:{}", closed.host, closed.port)];
                Some(self.call(PolicyHook::OnEgress, names, call))
            }
            _ => None,
        }
    }

    /// Returns a call that was refused, or that a person is asked about: no other event may be about it.
    fn not_made(&mut self, event: &Event) -> Option<PolicyCall> {
        let EventBody::PolicyDecided(decided) = event.body().ok()? else { return None };
        self.summary.add_labels(decided.labels.iter().map(String::as_str));
        let hooks = [
            PolicyHook::BeforeTool,
            PolicyHook::BeforeModel,
            PolicyHook::OnMessage,
            PolicyHook::OnArtifact,
        ];
        let hook = hooks.into_iter().find(|hook| hook.as_str() == decided.hook)?;
        let (is_refused, is_asked) = (decided.enforced == "deny", decided.enforced == "ask");
        if !is_refused && !is_asked {
            return None;
        }
        let call = decided.call.as_ref().map(value_of).unwrap_or_default();
        let subject = decided.subject.unwrap_or_default();
        let on = DecidedOn { hook, subject, step: call["step"].clone(), call: call.clone() };
        if self.refused.as_ref() == Some(&on) || self.asked.contains(&on) {
            return None;
        }
        let other = match hook {
            PolicyHook::BeforeModel => {
                call["provider"].as_str().map(|provider| format!("{provider}/{}", on.subject))
            }
            PolicyHook::BeforeTool => call["name"].as_str().map(str::to_owned),
            PolicyHook::AgentTrigger
            | PolicyHook::AfterTool
            | PolicyHook::AfterModel
            | PolicyHook::OnMemory
            | PolicyHook::OnKnowledge
            | PolicyHook::OnMessage
            | PolicyHook::OnArtifact
            | PolicyHook::OnReplay
            | PolicyHook::OnEgress => None,
        };
        let other = other.filter(|other| *other != on.subject);
        let names = [on.subject.clone()].into_iter().chain(other).collect();
        let found = self.call(hook, names, call);
        if is_refused {
            self.refused = Some(on);
        } else {
            self.asked.push(on);
        }
        Some(found)
    }

    /// Returns true if a person was asked about a call that is made now: it was seen then.
    fn was_asked(&mut self, hook: PolicyHook, name: &str, step: &Value) -> bool {
        let is_it = |on: &DecidedOn| on.hook == hook && on.subject == name && on.step == *step;
        let place = self.asked.iter().position(is_it);
        place.map(|place| self.asked.remove(place)).is_some()
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
            "tools": self.summary.tools, "side_effects": self.summary.side_effects,
            "labels": self.summary.labels,
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
