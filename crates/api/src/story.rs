//! What a run did and what a replay makes of it: what `errand replay --json` prints.

use errand_model::event::ReplayDiverged;
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Story`] and [`Comparison`].
pub const STORY_SCHEMA: u32 = 1;

/// What a run did, and what a replay would serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Story {
    /// [`STORY_SCHEMA`].
    pub schema: u32,
    /// Which run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// `inspect`.
    pub policy: String,
    /// What happened, in order.
    pub events: Vec<Told>,
    /// Tool calls that a live replay would make once more, with effects outside.
    pub effects: Vec<Effect>,
    /// Whether a strict replay is possible.
    pub strict: Strict,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Its place in the journal.
    pub seq: u64,
    /// When.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
    /// In which attempt; 0: in none.
    pub attempt: u32,
    /// What a strict replay does with it: `served`, `compared` or `told`.
    pub replay: String,
    /// What, in a few words.
    pub text: String,
}

/// A tool call with effects outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Its place in the journal.
    pub seq: u64,
    /// The tool's name.
    pub tool: String,
    /// The side-effect class.
    pub effect: String,
}

/// Whether a strict replay is possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Strict {
    /// Whether it is.
    pub possible: bool,
    /// Why it is not.
    pub reason: Option<String>,
}

/// What came of a strict replay.
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
    /// Whether nothing differed.
    pub identical: bool,
    /// The status of the run that did it.
    pub status: String,
    /// The first difference, with both sides.
    #[schemars(with = "Option<serde_json::Value>")]
    pub divergence: Option<ReplayDiverged>,
    /// Why there is no result.
    pub error: Option<String>,
    /// What was compared, in a few words each.
    pub compared: Vec<String>,
}
