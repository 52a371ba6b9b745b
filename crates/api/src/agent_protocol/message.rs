//! Messages between agents of one coordinated run.

use std::time::Duration;

use errand_model::event::MessageType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// An agent's name, or `__end__`, `__self__`, `__prev__`, `__next__`.
    pub to: String,
    /// Type of the message.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// Any JSON value. Of `CONTROL`: `action`, one of `pause`, `resume`, `cancel`; `reason?`.
    pub payload: Value,
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
#[schemars(rename = "Message")]
pub struct AgentMessage {
    /// Its id: the same if a later attempt gets it again.
    pub id: String,
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Type of the message. Called `message_type` since it also stands in a control event.
    pub message_type: MessageType,
    /// Content of the message.
    pub payload: Value,
}

impl AgentMessage {
    /// Default wait of a call for the next message.
    pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);
}
