//! Decision about the start of a run, before the run exists.

use errand_model::event::{PolicyDecided, ReplayPolicy};
use errand_policy::{PolicyCall, PolicyHook};
use serde_json::{Value, json};

use super::{Error, RunPolicies};
use crate::submission::Submission;
use crate::{Engine, payload, schema};

/// Asks the policies of an agent whether a run may start, and with which payload. Returns what they
/// said, for the journal of the run. A strict replay starts nothing.
///
/// # Errors
///
/// [`super::PolicyDenied`]; [`crate::schema::SchemaProblem`] if a policy changes the payload into one
/// that the agent does not accept.
pub(crate) async fn decide_trigger(
    engine: &Engine,
    submission: &mut Submission,
) -> Result<Vec<PolicyDecided>, Error> {
    let agent = &submission.parcel.agent;
    let is_strict = submission.lineage.replay.as_ref().map(|replay| replay.policy);
    if (agent.policy.is_none() && agent.policies.is_empty())
        || is_strict == Some(ReplayPolicy::Strict)
    {
        return Ok(Vec::new());
    }
    let pins = submission.dependencies.as_deref().unwrap_or_default();
    let policies = RunPolicies::of(engine, agent.policy.as_ref(), pins)?;
    let payload = submission.input.as_deref().map(read).unwrap_or_default();
    let trigger = serde_json::to_value(&submission.trigger).unwrap_or_default();
    let kind = trigger["type"].as_str().unwrap_or_default().to_owned();
    let call = json!({ "trigger": trigger, "payload": payload });
    let options = &submission.options;
    let facts = json!({
        "run": {
            "kind": submission.kind, "name": options.name, "labels": options.labels,
            "session_id": options.session_id, "namespace": options.namespace,
        },
        "agent": { "name": agent.name, "version": agent.version, "labels": agent.labels },
        "caller": options.by,
    });
    let asked = PolicyCall::new(PolicyHook::AgentTrigger, vec![kind], call.clone(), &facts);
    let mut decided = policies.decide(asked).await;
    if let Some(denied) = decided.denied() {
        return Err(denied.into());
    }
    decided.note_call(&payload::from_json(&engine.blobs(), call)?);
    if let Some(changed) = decided.changed() {
        let bytes = written(changed, submission.input.as_deref());
        schema::check_input(agent, Some(&bytes))?;
        submission.input = Some(bytes);
    }
    Ok(decided.entries)
}

/// Returns a payload as policies see it: JSON, or else text.
fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// Returns a changed payload as the agent gets it: text if it was text, else JSON.
fn written(changed: &Value, before: Option<&[u8]>) -> Vec<u8> {
    let was_text = before.is_some_and(|it| serde_json::from_slice::<Value>(it).is_err());
    match changed.as_str() {
        Some(text) if was_text => text.as_bytes().to_vec(),
        Some(_) | None => changed.to_string().into_bytes(),
    }
}
