//! Counts of what happened in a run.

use serde::{Deserialize, Serialize};

/// Counts of events in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Completed steps.
    pub steps: u64,
    /// `model.called`.
    pub model_calls: u64,
    /// `tool.called`.
    pub tool_calls: u64,
    /// `approval.requested`.
    pub approvals: u64,
    /// `policy.decided`.
    pub policy_decisions: u64,
    /// `memory.accessed`.
    #[serde(default)]
    pub memory_accesses: u64,
    /// `knowledge.retrieved`.
    #[serde(default)]
    pub knowledge_retrievals: u64,
}
