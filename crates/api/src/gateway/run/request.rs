//! Request to start a run.

use std::collections::BTreeMap;

use errand_model::callback::CallbackEvent;
use errand_model::event::OnBusy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunBudgets;

/// Request to start a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// A registered agent: its name, or `name@version`.
    #[schemars(length(min = 1, max = 200))]
    pub agent: String,
    /// Version of the agent; by default the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// Input of the agent: any JSON. A string is passed as its text, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// Instructions for the agent, in its brief.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub instructions: Option<String>,
    /// Context of the run, in its brief.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub context: Option<String>,
    /// Skills for the brief besides those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub skills: Vec<String>,
    /// Configs for the brief besides those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub configs: Vec<String>,
    /// Model route of the catalog in the place of the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model_route: Option<String>,
    /// Kind of the run; by default a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RequestedKind>,
    /// A name to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// The conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub session_id: Option<String>,
    /// With `session_id`: what happens while another run of the session is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_busy: Option<OnBusy>,
    /// Labels; they win over the agent's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Environment variables for the agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub env: BTreeMap<String, String>,
    /// Priority: of the ready runs of a namespace, the highest goes first; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
    /// Limits on time; they win over the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<RunTimeouts>,
    /// Limits on what it may spend; of these and the agent's the smaller holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<RunBudgets>,
    /// Address for the report of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub callback_url: Option<String>,
    /// Events reported there; by default the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub callback_events: Vec<CallbackEvent>,
    /// Earliest start: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub scheduled_at: Option<String>,
    /// Treatment of the run if the client that waits for it disconnects; by default it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<Disconnect>,
    /// Labels that the worker must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub affinity: BTreeMap<String, String>,
}

// Beside the model's `RunKind`: a service cannot be created over HTTP.
/// Kind of a run that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunKind")]
pub enum RequestedKind {
    /// A run with one input and one output.
    Job,
    /// A wake without a task.
    Heartbeat,
}

/// Treatment of a run whose client disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disconnect {
    /// The run continues.
    Continue,
    /// The run is cancelled.
    Cancel,
}

/// Limits on time, as in the agent file: `30s`, `1h30m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTimeouts {
    /// The whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub run: Option<String>,
    /// From when it is ready to its first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub queue: Option<String>,
}

/// Options of a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// The longest wait, such as `30s`; the run goes on afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub timeout: Option<String>,
}
