//! Actions on a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunBudgets;

/// Options of a wait for the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelQuery {
    /// True to answer only once no process of the run is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Options of a cancellation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Time for the agent to end by itself; by default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// True to kill it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Options of a resume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Limits of the run, and what may be spent from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise: Option<RunBudgets>,
}

/// Options of a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// Time for the current attempt to end by itself; by default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// True to kill it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// True to use the current version of the agent instead of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// With which agent a run that went wrong is done again; with the recorded one unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// True to use the current version of the agent instead of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Options of a wake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WakeRequest {
    /// Input of the agent; absent: none, as at a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
}

/// From where a run is done again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// The key of the first step to be done anew.
    #[schemars(length(min = 1, max = 1024))]
    pub from_step: String,
    /// Another input than the old run's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
}

/// Options of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Policy; by default `inspect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ReplayPolicyWord>,
    /// Another agent than the recorded one: its name, or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub agent: Option<String>,
    /// With `live`: although the run had effects outside, which would happen once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_effects: Option<bool>,
}

/// Policy of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReplayPolicy")]
pub enum ReplayPolicyWord {
    /// Tells what a replay would serve; nothing runs.
    #[default]
    Inspect,
    /// Runs the agent with everything served from the record.
    Strict,
    /// Does it all again, with all its effects.
    Live,
}

/// Options of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// True to kill a live run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Options of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// True to export a live run in its current state: to look at, not to import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// True to export a coordinator's own run only, without the runs that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<bool>,
}

/// Options of a timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// At most so many spans, those that matter most; all unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: Option<u32>,
    /// Number of levels of a coordinator's children that are shown; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8))]
    pub depth: Option<u32>,
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
