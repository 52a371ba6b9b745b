//! The state of a conversation, which outlives its runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /agent/v1/session`, and what `PUT` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionAnswer {
    /// The session's id.
    pub session_id: String,
    /// Grows with each change; 0 for a session that was never written.
    pub revision: u64,
    /// The state document; `null` for a session that was never written.
    pub state: Value,
}

/// `PUT /agent/v1/session`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSession {
    /// The state document: any JSON value.
    pub state: Value,
    /// The revision it was made from: refused if the session was changed since. Absent: whatever
    /// is there is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}
