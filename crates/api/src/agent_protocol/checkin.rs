//! The first call of an attempt, which may be repeated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ValueEncoding;

/// `POST /agent/v1/checkin`. Idempotent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkin {}

/// Everything an attempt starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckinAnswer {
    /// The run's id.
    pub run_id: String,
    /// The run's name, where the caller gave one.
    pub name: Option<String>,
    /// `job`, `heartbeat` or `service`.
    pub kind: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Reason for this attempt: `initial`, `retry`, `resume`, `restart` or `recovery`.
    pub attempt_reason: String,
    /// Agent of the run.
    pub agent: AgentSeen,
    /// The session that the run belongs to.
    pub session_id: Option<String>,
    /// Number of messages in the session; `null` where the run has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_messages: Option<u64>,
    /// The run's input; `null` if it has none.
    pub input: Option<Value>,
    /// Encoding of `input`.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub input_encoding: ValueEncoding,
    /// The digest of the brief, if there is one.
    pub brief_key: Option<String>,
    /// The state that was saved last, in whichever attempt; `null` if none was.
    pub checkpoint: Option<Value>,
    /// Keys of the steps that are completed, sorted: they are not to be done again.
    pub completed_steps: Vec<String>,
    /// Deadline of the run, in epoch milliseconds, if it has a limit.
    pub deadline_ms: Option<i64>,
    /// Time left to steps that are begun and have a limit, by key. Stands still while the run is
    /// paused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub step_time_left_ms: BTreeMap<String, u64>,
}

/// Agent that a run executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSeen {
    /// `metadata.name` of the agent file.
    pub name: String,
    /// `metadata.version` of the agent file.
    pub version: String,
    /// The parcel's digest: `sha256:` and 64 hex digits.
    pub digest: String,
}
