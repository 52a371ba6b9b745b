//! The conversation that a run belongs to: state, history, and results of tools that are kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Encoding;

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
    /// How many messages the session keeps.
    pub total: u64,
    /// Oldest first; at most as many as were asked for, fewer where they are long.
    pub messages: Vec<SessionMessage>,
}

/// One message of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionMessage {
    /// Its place in the history; grows.
    pub number: u64,
    /// The run that appended it.
    pub run_id: String,
    /// Who says it: `user`, `assistant`, `system`, `tool`, or the agent's own word.
    pub role: String,
    /// What.
    pub content: Value,
    /// How `content` is to be read.
    #[serde(default, skip_serializing_if = "Encoding::is_json")]
    pub encoding: Encoding,
    /// When it was appended, in epoch milliseconds.
    pub at_ms: i64,
}

/// `POST /agent/v1/session/messages`: all of them, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendMessages {
    /// In order; 1 to [`super::limit::MESSAGES_PER_APPEND`].
    pub messages: Vec<NewMessage>,
}

/// One message to be appended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// A lower-case word such as `user` or `assistant`.
    pub role: String,
    /// What is said: any JSON value.
    pub content: Value,
    /// How `content` is to be read.
    #[serde(default, skip_serializing_if = "Encoding::is_json")]
    pub encoding: Encoding,
}

/// What `POST /agent/v1/session/messages` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppendMessagesAnswer {
    /// How many were appended.
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
        /// What the tool gave.
        result: Value,
        /// How `result` is to be read.
        #[serde(default, skip_serializing_if = "Encoding::is_json")]
        encoding: Encoding,
        /// The run that kept it.
        run_id: String,
        /// When it expires, in epoch milliseconds; `null`: never.
        expires_at_ms: Option<i64>,
    },
    /// It is not, or has expired.
    Miss {
        /// The digest of the canonical JSON of the input (RFC 8785).
        key: String,
    },
}

/// `PUT /agent/v1/session/results/{tool}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepResult {
    /// What the tool was given: any JSON value. `null`, or absent, for a tool without input.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// In the place of `input`: the digest of its canonical JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the tool gave: any JSON value.
    pub result: Value,
    /// How `result` is to be read.
    #[serde(default, skip_serializing_if = "Encoding::is_json")]
    pub encoding: Encoding,
    /// How long it counts, in milliseconds; absent: [`super::limit::RESULT_TTL`].
    #[serde(
        default,
        rename = "ttl_ms",
        with = "errand_model::millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<u64>")]
    pub ttl: Option<Duration>,
}

/// What `PUT /agent/v1/session/results/{tool}` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepResultAnswer {
    /// The digest of the canonical JSON of the input (RFC 8785).
    pub key: String,
    /// When it expires, in epoch milliseconds.
    pub expires_at_ms: i64,
}
