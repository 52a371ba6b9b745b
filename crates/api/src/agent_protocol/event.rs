//! Reports of an agent about its work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/events`. All are recorded, in this order and in one commit, or none is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportEvents {
    /// 1 to [`super::limit::EVENTS_PER_BATCH`] events.
    pub events: Vec<ReportedEvent>,
}

/// A reported event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedEvent {
    /// `noun.verb_past`, such as `model.called`, `tool.called`, `progress.reported`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A JSON object.
    pub data: Value,
}

/// Number of recorded events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportEventsAnswer {
    /// All that were sent.
    pub recorded: u64,
}
