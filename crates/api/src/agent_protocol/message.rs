//! What agents of one coordinated run say to each other.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What sort of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageType {
    /// Work to do.
    Task,
    /// What came of it.
    Result,
    /// A verdict on a result.
    Validation,
    /// It did not work out.
    Error,
    /// About the coordination itself.
    Control,
}

/// `POST /agent/v1/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// An agent's name, or `__end__`, `__self__`, `__prev__`, `__next__`.
    pub to: String,
    /// What sort.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// Any JSON value. Of `CONTROL`: `action`, one of `pause`, `resume`, `cancel`; `reason?`.
    pub payload: Value,
}

impl From<MessageType> for errand_model::event::MessageType {
    fn from(kind: MessageType) -> Self {
        match kind {
            MessageType::Task => Self::Task,
            MessageType::Result => Self::Result,
            MessageType::Validation => Self::Validation,
            MessageType::Error => Self::Error,
            MessageType::Control => Self::Control,
        }
    }
}

impl From<errand_model::event::MessageType> for MessageType {
    fn from(kind: errand_model::event::MessageType) -> Self {
        match kind {
            errand_model::event::MessageType::Task => Self::Task,
            errand_model::event::MessageType::Result => Self::Result,
            errand_model::event::MessageType::Validation => Self::Validation,
            errand_model::event::MessageType::Error => Self::Error,
            errand_model::event::MessageType::Control => Self::Control,
        }
    }
}

/// The message is durable, and its coordinator routes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageAnswer {
    /// Its place in the run's journal.
    pub seq: u64,
    /// Its id: `<run-id>/<seq>`.
    pub id: String,
}

/// `GET /agent/v1/messages/next`, which waits up to `?timeout_ms=`; `null` if none came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its id: the same if a later attempt gets it again.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// Whom it is for.
    pub to: String,
    /// What sort. Called `message_type` since it also stands in a control event.
    pub message_type: MessageType,
    /// What was said.
    pub payload: Value,
}

impl Message {
    /// How long a call waits for the next message unless it says otherwise.
    pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);
}
