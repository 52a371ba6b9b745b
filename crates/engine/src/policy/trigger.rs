//! Decision about the start of a run, before the run exists.

use errand_model::event::{PolicyDecided, Replay, ReplayPolicy};
use errand_policy::{PolicyCall, PolicyHook};
use serde_json::{Value, json};

use super::{Error, RunPolicies};
use crate::submission::Submission;
use crate::{Engine, payload, schema};

/// Asks the policies of an agent whether a run may start, and with which payload. Returns what they
/// said, for the journal of the run. A replay is asked about first; a strict one starts nothing.
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
    if agent.policy.is_none() && agent.policies.is_empty() {
        return Ok(Vec::new());
    }
    let pins = submission.dependencies.as_deref().unwrap_or_default();
    let policies = RunPolicies::of(engine, agent.policy.as_ref(), pins)?;
    let mut entries = Vec::new();
    if let Some(replay) = submission.lineage.replay.clone() {
        entries = decide_replay(engine, submission, &policies, &replay).await?;
        if replay.policy == ReplayPolicy::Strict {
            return Ok(entries);
        }
    }
    let payload = submission.input.as_deref().map(read).unwrap_or_default();
    let trigger = serde_json::to_value(&submission.trigger).unwrap_or_default();
    let kind = trigger["type"].as_str().unwrap_or_default().to_owned();
    let call = json!({ "trigger": trigger, "payload": payload });
    let facts = facts_of(submission);
    let asked = PolicyCall::new(PolicyHook::AgentTrigger, vec![kind], call.clone(), &facts);
    let mut decided = policies.decide(asked).await;
    if let Some(denied) = decided.denied() {
        return Err(denied.into());
    }
    decided.note_call(&payload::from_json(&engine.blobs(), call)?);
    if let Some(changed) = decided.changed() {
        let bytes = written(changed, submission.input.as_deref());
        schema::check_input(&submission.parcel.agent, Some(&bytes))?;
        submission.input = Some(bytes);
    }
    entries.extend(decided.entries);
    Ok(entries)
}

/// Asks the policies whether a run may be replayed. Returns what they said, for the journal of the
/// replay.
async fn decide_replay(
    engine: &Engine,
    submission: &Submission,
    policies: &RunPolicies,
    replay: &Replay,
) -> Result<Vec<PolicyDecided>, Error> {
    let kind = serde_json::to_value(replay.policy).unwrap_or_default();
    let names = kind.as_str().map(str::to_owned).into_iter().collect();
    let call = json!({ "of": replay.of, "policy": kind });
    let facts = facts_of(submission);
    let asked = PolicyCall::new(PolicyHook::OnReplay, names, call.clone(), &facts);
    let mut decided = policies.decide(asked).await;
    if let Some(denied) = decided.denied() {
        return Err(denied.into());
    }
    decided.note_call(&payload::from_json(&engine.blobs(), call)?);
    Ok(decided.entries)
}

/// Returns the facts that policies see of a run that does not exist yet.
fn facts_of(submission: &Submission) -> Value {
    let (options, agent) = (&submission.options, &submission.parcel.agent);
    json!({
        "run": {
            "kind": submission.kind, "name": options.name, "labels": options.labels,
            "session_id": options.session_id, "namespace": options.namespace,
        },
        "agent": { "name": agent.name, "version": agent.version, "labels": agent.labels },
        "caller": options.by,
    })
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
