//! Questions to a person: translation from the protocol, with all checks that need no state.

use std::time::Duration;

use errand_api::agent_protocol::{self as wire, limit};
use errand_model::Digest;

use super::{ApprovalCall, Backend, InputCall, Refusal, Terms};

/// Handles a request for an approval.
pub(super) async fn approve(
    backend: &dyn Backend,
    ask: wire::AskApproval,
) -> Result<wire::ApprovalAnswer, Refusal> {
    backend.ask_approval(approval(ask)?).await
}

/// Handles a request for input.
pub(super) async fn input(
    backend: &dyn Backend,
    ask: wire::AskInput,
) -> Result<wire::InputAnswer, Refusal> {
    backend.ask_input(question(ask)?).await
}

/// Translates a request for an approval for the backend.
fn approval(ask: wire::AskApproval) -> Result<ApprovalCall, Refusal> {
    let wire::AskApproval { action, target, summary, digest, .. } = &ask;
    bounded("action", action, limit::ACTION_BYTES)?;
    bounded("target", target, limit::ACTION_BYTES)?;
    if let Some(summary) = summary {
        bounded("summary", summary, limit::QUESTION_BYTES)?;
    }
    let digest = digest.clone().map(Digest::try_from).transpose();
    let digest = digest.map_err(|error| Refusal::request(format!("digest: {error}")))?;
    let terms = terms((ask.step, ask.key), ask.timeout_ms, ask.park, ask.wait_ms)?;
    let (action, target, summary, default) = (ask.action, ask.target, ask.summary, ask.default);
    Ok(ApprovalCall { action, target, summary, digest, default, terms })
}

/// Translates a request for input for the backend.
fn question(ask: wire::AskInput) -> Result<InputCall, Refusal> {
    bounded("prompt", &ask.prompt, limit::QUESTION_BYTES)?;
    if let Some(schema) = &ask.schema {
        let length = schema.to_string().len();
        if length > limit::INPUT_SCHEMA_BYTES {
            let most = limit::INPUT_SCHEMA_BYTES;
            let message = format!("schema has {length} bytes: at most {most} are possible");
            return Err(Refusal::request(message));
        }
    }
    let terms = terms((ask.step, ask.key), ask.timeout_ms, ask.park, ask.wait_ms)?;
    Ok(InputCall { prompt: ask.prompt, schema: ask.schema, terms })
}

fn terms(
    (step, key): (Option<String>, Option<String>),
    timeout_ms: Option<u64>,
    park: bool,
    wait_ms: Option<u64>,
) -> Result<Terms, Refusal> {
    for (field, text) in [("step", &step), ("key", &key)] {
        if let Some(text) = text {
            bounded(field, text, limit::QUESTION_KEY_BYTES)?;
        }
    }
    if timeout_ms.is_some_and(|timeout| !(1..=limit::DEADLINE_LIMIT_MS).contains(&timeout)) {
        let most = limit::DEADLINE_LIMIT_MS;
        return Err(Refusal::request(format!("timeout_ms must be from 1 to {most}")));
    }
    let wait = wait_ms.unwrap_or(limit::ASK_WAIT_MS).min(limit::ASK_WAIT_LIMIT_MS);
    Ok(Terms {
        step,
        key,
        timeout: timeout_ms.map(Duration::from_millis),
        park,
        wait: Duration::from_millis(wait),
    })
}

fn bounded(field: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::request(format!("{field} is empty")));
    }
    if text.len() > most {
        let length = text.len();
        let message = format!("{field} has {length} bytes: at most {most} are possible");
        return Err(Refusal::request(message));
    }
    Ok(())
}
