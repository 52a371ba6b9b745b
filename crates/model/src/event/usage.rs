//! Usage of a run and of all runs that it started, as events record it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accounting::TokenUsage;
use crate::spend::Amounts;

/// Usage of a child and of all runs that it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildUsage {
    /// By agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_agent: BTreeMap<String, AgentUsage>,
}

impl ChildUsage {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut by_agent = self.by_agent.clone();
        for (agent, used) in &other.by_agent {
            let sum = by_agent.entry(agent.clone()).or_default();
            *sum = sum.plus(used);
        }
        Self { by_agent }
    }
}

/// Usage of the runs of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentUsage {
    /// Number of runs.
    pub runs: u64,
    /// Tokens and money.
    #[serde(flatten)]
    pub tokens: TokenUsage,
    /// `model.called`.
    pub model_calls: u64,
    /// `tool.called`.
    pub tool_calls: u64,
    /// `memory.accessed`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory_accesses: u64,
    /// `knowledge.retrieved`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub knowledge_retrievals: u64,
    /// Milliseconds that their processes lived, pauses not counted.
    pub wall_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AgentUsage {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            runs: self.runs.saturating_add(other.runs),
            tokens: self.tokens.plus(&other.tokens),
            model_calls: self.model_calls.saturating_add(other.model_calls),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
            memory_accesses: self.memory_accesses.saturating_add(other.memory_accesses),
            knowledge_retrievals: self
                .knowledge_retrievals
                .saturating_add(other.knowledge_retrievals),
            wall_ms: self.wall_ms.saturating_add(other.wall_ms),
        }
    }

    /// As budgets count it.
    pub fn amounts(&self) -> Amounts {
        Amounts {
            tokens: self.tokens.input_tokens.saturating_add(self.tokens.output_tokens),
            cost_micro_usd: self.tokens.cost_micro_usd.unwrap_or(0),
            tool_calls: self.tool_calls,
            wall_time_ms: self.wall_ms,
        }
    }
}
