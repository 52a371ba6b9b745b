//! Lists of runs and of their events, a page at a time.

use errand_model::event::RunKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::record::RunRecord;

/// Selection of runs. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Only runs of that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Only runs of the agent of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only runs of that session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Only runs with that label, `key=value`; may be given again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[^=]+=")))]
    pub label: Vec<String>,
    /// Only runs of that kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RunKind>,
    /// Only children of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::gateway::run::RUN_ID))]
    pub parent_run_id: Option<String>,
    /// True to select only runs that are not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::gateway::run::RUN_ID))]
    pub cursor: Option<String>,
}

/// A status of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Not begun, or between attempts.
    Pending,
    /// An attempt is under way.
    Running,
    /// Paused: the run waits for a person.
    Paused,
    /// Done well.
    Completed,
    /// Gone wrong.
    Failed,
    /// Cancelled from outside.
    Cancelled,
}

impl RunStatus {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A page of runs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Selection of a run's events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events after that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The greatest number of entries; 500 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5000))]
    pub limit: Option<u32>,
    /// Only events of that type; may be given again.
    #[serde(default, rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// In a stream: true, as by default, to send parts of the output before they are in the
    /// journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<bool>,
    /// In a stream: true to send the agent's log as well; not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
}

/// Content of a run's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowQuery {
    /// Only events of that type (`step.failed`) or noun (`step`); may be given again.
    #[serde(default, rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// True, as by default, to send parts of the output as they come, before they are in the
    /// journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<bool>,
    /// True to send the agent's log as well; not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
}

/// Selection of runs to follow. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetQuery {
    /// Only runs of the agent of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs of that session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Only runs with that label, `key=value`; may be given again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<String>,
    /// Only events of runs that have that status when they are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Only events of that type (`step.failed`) or noun (`step`); may be given again.
    #[serde(default, rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The last event that the client has, `<run_id>:<seq>`; several, with commas, name the last
    /// one of each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// An event of a journal, as `errand events --json` prints it: the shape of the entries of
/// [`EventPage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEvent {
    /// The run whose journal has it.
    pub run_id: String,
    /// Its place in the journal, from 1 without gaps.
    pub seq: u64,
    /// Time of the decision, in milliseconds since 1970.
    pub at_ms: i64,
    /// The attempt that it belongs to; 0: the run as a whole.
    pub attempt: u32,
    /// `noun.verb_past`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Data of the event; its members depend on the type.
    pub data: Map<String, Value>,
    /// Hash of this event and all before it.
    pub hash: String,
}

/// A page of a journal, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// The events, as `errand events --json` prints them.
    #[schemars(with = "Vec<JournalEvent>")]
    pub events: Vec<Value>,
    /// The number after which the next page begins; absent where the journal ends for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// True if the run is over, so that no page follows the last one.
    pub is_over: bool,
}

/// The steps of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepPage {
    /// By key.
    pub steps: Vec<StepRecord>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// Its key.
    pub key: String,
    /// `running`, `completed`, `failed`, or `interrupted`: its attempt ended before it did.
    pub status: String,
    /// The attempt that began it last.
    pub attempt: u32,
    /// Time of its last start, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// Time of its end; absent while it is under way, and if it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<i64>,
    /// Output in the record's form; absent unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Error, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}
