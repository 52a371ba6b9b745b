//! Handoff of a run to another agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/handoff`. Takes effect when the run ends well; the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The agent: its name among the `handoffs` of this one's agent file.
    pub to: String,
    /// Summary of the work done and left.
    pub summary: String,
    /// Input of the other agent; `null`: this run's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Names of artifacts of this run that the other one gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// The handoff is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandOverAnswer {
    /// The run of the other agent. It is there once this one ended well.
    pub run_id: String,
}
