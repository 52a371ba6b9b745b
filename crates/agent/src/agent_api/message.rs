//! Calls about other agents: messages, and handing the run over.

use std::time::Duration;

use errand_api::agent_protocol::{
    AgentMessage, HandOver, HandOverAnswer, MessageAnswer, SendMessage, limit,
};
use errand_model::canonical;
use errand_model::event::MessageType;
use serde_json::Value;

use super::query::{parameters, unknown};
use super::{CoordinationBackend, Refusal};

/// Handles `POST` of a message.
pub(super) async fn send(
    backend: &(impl CoordinationBackend + ?Sized),
    message: SendMessage,
) -> Result<MessageAnswer, Refusal> {
    let (length, most) = (canonical::to_string(&message.payload).len(), limit::MESSAGE_BYTES);
    if length > most {
        let text = format!("a message has at most {most} bytes, not {length}");
        return Err(Refusal::request(text)
            .with_hint("keep large data as an artifact, and send its address"));
    }
    if message.kind == MessageType::Control {
        check_control(&message.payload)?;
    }
    backend.send_message(message).await
}

/// Checks the payload of a control message: only known actions and fields are allowed.
fn check_control(payload: &Value) -> Result<(), Refusal> {
    let action = payload.get("action").and_then(Value::as_str);
    if !matches!(action, Some("pause" | "resume" | "cancel")) {
        return Err(Refusal::request(
            "the payload of CONTROL has an action: pause, resume or cancel",
        )
        .with_hint("such as '{\"action\": \"pause\", \"reason\": \"the budget is unclear\"}'"));
    }
    let members = payload.as_object().into_iter().flatten();
    for (name, value) in members {
        match name.as_str() {
            "action" => {}
            "reason" if value.is_string() || value.is_null() => {}
            "reason" => return Err(Refusal::request("the reason of CONTROL is a text")),
            _ => {
                let text = format!("the payload of CONTROL has action and reason, no {name:?}");
                return Err(Refusal::request(text));
            }
        }
    }
    Ok(())
}

/// Handles `GET` of the next message, with the URL's query.
pub(super) async fn next(
    backend: &(impl CoordinationBackend + ?Sized),
    query: Option<&str>,
) -> Result<Option<AgentMessage>, Refusal> {
    let mut wait = AgentMessage::DEFAULT_WAIT;
    for (name, value) in parameters(query)? {
        if name != "timeout_ms" {
            return Err(unknown(&name, "timeout_ms"));
        }
        let wait_ms = value.parse::<u64>().map_err(|_| {
            Refusal::request(format!("the parameter timeout_ms is no number: {value:?}"))
        })?;
        wait = Duration::from_millis(wait_ms.min(limit::ASK_WAIT_LIMIT_MS));
    }
    backend.next_message(wait).await
}

/// Handles `POST` of a handoff.
pub(super) async fn hand_over(
    backend: &(impl CoordinationBackend + ?Sized),
    handoff: HandOver,
) -> Result<HandOverAnswer, Refusal> {
    let (length, most) = (handoff.summary.len(), limit::QUESTION_BYTES);
    if length > most {
        let text = format!("the summary has {length} bytes: at most {most} are possible");
        return Err(
            Refusal::request(text).with_hint("keep what is longer as an artifact, and name it")
        );
    }
    let (count, most) = (handoff.artifacts.len(), limit::HANDOFF_ARTIFACTS);
    if count > most {
        let text = format!("a handoff names at most {most} artifacts, not {count}");
        return Err(Refusal::request(text));
    }
    backend.hand_over(handoff).await
}
