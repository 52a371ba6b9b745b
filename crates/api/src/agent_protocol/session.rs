//! The conversation that a run belongs to: state, history, and results of tools that are kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ValueEncoding;

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

/// `GET /agent/v1/session/messages?last=N&before=NUMBER`: the newest messages, of all or of those
/// before one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessagesAnswer {
    /// The session's id.
    pub session_id: String,
    /// Number of messages in the session.
    pub total: u64,
    /// Oldest first; at most as many as were asked for, fewer where they are long.
    pub messages: Vec<AgentSessionMessage>,
}

// Lists for people have `session::StoredMessage`, which has no encoding.
/// A message of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SessionMessage")]
pub struct AgentSessionMessage {
    /// Its place in the history; grows.
    pub number: u64,
    /// The run that appended it.
    pub run_id: String,
    /// Role of the author: `user`, `assistant`, `system`, `tool`, or the agent's own word.
    pub role: String,
    /// Content of the message.
    pub content: Value,
    /// Encoding of `content`.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub encoding: ValueEncoding,
    /// Time at which it was appended, in epoch milliseconds.
    pub at_ms: i64,
}

/// `POST /agent/v1/session/messages`: all of them, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendMessages {
    /// In order; 1 to [`super::limit::MESSAGES_PER_APPEND`].
    pub messages: Vec<NewMessage>,
}

/// A message to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// A lower-case word such as `user` or `assistant`.
    pub role: String,
    /// Content: any JSON value.
    pub content: Value,
    /// Encoding of `content`.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub encoding: ValueEncoding,
}

/// Answer of `POST /agent/v1/session/messages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppendMessagesAnswer {
    /// Number of appended messages.
    pub appended: u64,
}

/// `GET /agent/v1/session/results/{tool}?input=JSON` or `?key=DIGEST`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ResultAnswer {
    /// The tool's result for that input is kept.
    Hit {
        /// The digest of the canonical JSON of the input (RFC 8785).
        key: String,
        /// Result of the tool.
        result: Value,
        /// Encoding of `result`.
        #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
        encoding: ValueEncoding,
        /// The run that kept it.
        run_id: String,
        /// Expiry in epoch milliseconds; `null`: never.
        expires_at_ms: Option<i64>,
    },
    /// No result, or an expired one.
    Miss {
        /// The digest of the canonical JSON of the input (RFC 8785).
        key: String,
    },
}

/// `PUT /agent/v1/session/results/{tool}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepResult {
    /// Input of the tool: any JSON value. `null`, or absent, for a tool without input.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// In the place of `input`: the digest of its canonical JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Result of the tool: any JSON value.
    pub result: Value,
    /// Encoding of `result`.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub encoding: ValueEncoding,
    /// Validity in milliseconds; absent: [`super::limit::RESULT_TTL`].
    #[serde(
        default,
        rename = "ttl_ms",
        with = "errand_model::millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<u64>")]
    pub ttl: Option<Duration>,
}

/// Answer of `PUT /agent/v1/session/results/{tool}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepResultAnswer {
    /// The digest of the canonical JSON of the input (RFC 8785).
    pub key: String,
    /// Expiry in epoch milliseconds.
    pub expires_at_ms: i64,
}
