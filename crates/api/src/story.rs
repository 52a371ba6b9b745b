//! Events of a run with their treatment in a replay: the output of `errand replay --json`.

use errand_model::event::ReplayDiverged;
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Story`] and [`Comparison`].
pub const STORY_SCHEMA: u32 = 1;

/// Events of a run, and the parts that a replay would serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Story {
    /// [`STORY_SCHEMA`].
    pub schema: u32,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// `inspect`.
    pub policy: String,
    /// Events in order.
    pub events: Vec<StoryEvent>,
    /// Tool calls that a live replay would make once more, with effects outside.
    pub effects: Vec<OutsideEffect>,
    /// Possibility of a strict replay.
    pub strict: Strict,
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Told")]
pub struct StoryEvent {
    /// Its place in the journal.
    pub seq: u64,
    /// Time of the event.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
    /// In which attempt; 0: in none.
    pub attempt: u32,
    /// Treatment in a strict replay: `served`, `compared` or `told`.
    pub replay: String,
    /// Description in a few words.
    pub text: String,
}

/// A tool call with effects outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Effect")]
pub struct OutsideEffect {
    /// Its place in the journal.
    pub seq: u64,
    /// The tool's name.
    pub tool: String,
    /// The side-effect class.
    pub effect: String,
}

/// Possibility of a strict replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Strict {
    /// True if it is possible.
    pub possible: bool,
    /// Reason why it is not.
    pub reason: Option<String>,
}

/// Result of a strict replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// [`STORY_SCHEMA`].
    pub schema: u32,
    /// `strict`.
    pub policy: String,
    /// The run that was replayed.
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// The run that did it.
    #[schemars(with = "String")]
    pub replay_run_id: RunId,
    /// True if there was no difference.
    pub identical: bool,
    /// The status of the run that did it.
    pub status: String,
    /// The first difference, with both sides.
    #[schemars(with = "Option<serde_json::Value>")]
    pub divergence: Option<ReplayDiverged>,
    /// Reason why there is no result.
    pub error: Option<String>,
    /// Compared items, in a few words each.
    pub compared: Vec<String>,
}
