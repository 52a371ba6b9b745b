//! What can be done to a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunBudgets;

/// Whether to wait for the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelQuery {
    /// Whether to answer only once nothing of the run lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// How a run is to be ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// How long the agent has to end by itself; `10s` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// Whether it is killed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// How a run is to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Limits of the run, and what may be spent from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise: Option<RunBudgets>,
}

/// How a run is to begin anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// How long the current attempt has to end by itself; `10s` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// Whether it is killed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// Whether the version that is current now takes the place of the recorded one.
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
    /// Whether the version that is current now takes the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// How a service is to be woken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WakeRequest {
    /// What the agent is given; absent: nothing, as at a heartbeat.
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

/// How a run is replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// How; `inspect` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ReplayPolicy>,
    /// Another agent than the recorded one: its name, or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub agent: Option<String>,
    /// With `live`: although the run had effects outside, which would happen once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_effects: Option<bool>,
}

/// How a run is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    /// Tells what a replay would serve; nothing runs.
    #[default]
    Inspect,
    /// Runs the agent with everything served from the record.
    Strict,
    /// Does it all again, with all its effects.
    Live,
}

/// How a run is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// Whether a run that lives is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// How a run is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Whether a run that is not over is exported as it is now: to look at, not to import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// Whether of a coordinator only its own run is exported, without those that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<bool>,
}

/// How much of a timeline is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// At most so many spans, those that matter most; all unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: Option<u32>,
    /// How many levels of a coordinator's children are looked into; all unless said.
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
    /// When it was begun last, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it ended; absent while it is under way, and where it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<i64>,
    /// What it led to, in the record's form; absent unless it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What went wrong, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}
