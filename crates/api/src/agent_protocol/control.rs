//! Control events that errand sends to a working agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AgentMessage;

/// An event of `GET /agent/v1/control` (`text/event-stream`). The SSE field `event` is `type`, the
/// field `data` the whole object. Events in force are sent first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlEvent {
    /// The run is being ended: save what is worth saving and exit.
    Cancel {
        /// Reason, for people.
        reason: String,
        /// Time until the process is killed.
        grace_ms: u64,
    },
    /// The service is woken.
    Wake {
        /// `manual`, `heartbeat`, `schedule`, `ingress` or `recovery`.
        reason: String,
        /// Payload of the request.
        payload: Option<Value>,
    },
    /// Another agent of the same coordinated run said something.
    Message(AgentMessage),
}

impl ControlEvent {
    /// The value of `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Wake { .. } => "wake",
            Self::Message(_) => "message",
        }
    }
}
