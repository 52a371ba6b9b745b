//! Sessions, which outlive the runs of a conversation: the output of `errand sessions ls --json`
//! and `sessions show --json`.

use errand_model::{Digest, RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the shape of [`SessionList`] and [`SessionDetail`].
pub const SESSION_SCHEMA: u32 = 1;

/// Sessions, the one used last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionList {
    /// [`SESSION_SCHEMA`].
    pub schema: u32,
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// Cursor of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A session and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionSummary {
    /// Its name.
    pub session_id: String,
    /// Number of changes of its state.
    pub revision: u64,
    /// Time of the last start or change by a run.
    #[schemars(with = "i64")]
    pub used_at_ms: Timestamp,
    /// Messages that are kept.
    pub messages: u64,
    /// Results of tools that are kept.
    pub results: u64,
    /// Runs that are there.
    pub runs: u64,
    /// Runs of these that are not over.
    pub live_runs: u64,
}

/// Everything that is known of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionDetail {
    /// [`SESSION_SCHEMA`].
    pub schema: u32,
    /// Its name.
    pub session_id: String,
    /// Number of changes of its state.
    pub revision: u64,
    /// Time of the last start or change by a run.
    #[schemars(with = "i64")]
    pub used_at_ms: Timestamp,
    /// Its state document; `null`: it has none.
    pub state: Value,
    /// Number of stored messages.
    pub total_messages: u64,
    /// The newest of them, oldest first.
    pub messages: Vec<StoredMessage>,
    /// Results of tools that did not expire, newest first.
    pub results: Vec<ToolResult>,
    /// Number of runs.
    pub total_runs: u64,
    /// Runs of these that are not over.
    pub live_runs: u64,
    /// The newest of them, newest first.
    pub runs: Vec<SessionRun>,
}

/// A message of a session, as people and programs read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Message")]
pub struct StoredMessage {
    /// Its place in the history; grows.
    pub number: u64,
    /// The run that appended it.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Role of the author.
    pub role: String,
    /// Content of the message.
    pub content: Value,
    /// Time at which it was appended.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
}

/// Result of a tool for an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolResult {
    /// The tool.
    pub tool: String,
    /// The digest of the canonical JSON of what the tool was given.
    #[schemars(with = "String")]
    pub key: Digest,
    /// The run that kept it.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Result of the tool.
    pub result: Value,
    /// Time at which it was stored.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
    /// From then on it counts no more; `null`: it counts for as long as the session is there.
    #[schemars(with = "Option<i64>")]
    pub expires_at_ms: Option<Timestamp>,
}

/// A run of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRun {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Status: one of six.
    pub status: String,
    /// Time of the admission.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
    /// True if its changes of the session were undone.
    pub rolled_back: bool,
}
