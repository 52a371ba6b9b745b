//! Membership of a run in a plan.

use serde::{Deserialize, Serialize};

use crate::RunId;

/// Membership of a run in a coordinator's plan. Part of `run.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The coordinator.
    pub coordinator: RunId,
    /// The key of its step there.
    pub key: String,
    /// Its name in the plan.
    pub name: String,
    /// Number of coordinators above it; from 1.
    pub depth: u32,
    /// Agents that it may send messages to, besides itself and its correspondents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends_to: Vec<String>,
    /// Sender of the message to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}
