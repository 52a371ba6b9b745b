//! Limits on tokens, money, calls and time: what may be spent, and what happens at the end of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a run may spend, pinned when it is admitted. Several may apply; `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Tokens in and out, all model calls of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_run: Option<u64>,
    /// Millionths of a US dollar, the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd_per_run: Option<u64>,
    /// Tool calls of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_run: Option<u64>,
    /// Milliseconds that its agent's processes lived, pauses not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time_ms_per_run: Option<u64>,
    /// Tokens in and out, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Millionths of a US dollar, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd_per_day: Option<u64>,
    /// Tool calls, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_day: Option<u64>,
    /// Milliseconds, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time_ms_per_day: Option<u64>,
    /// What happens at a limit.
    pub on_exceed: OnExceed,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Self { on_exceed: self.on_exceed, ..Self::default() }
    }

    /// What may be spent at most; `None`: no such limit.
    pub const fn of(&self, name: LimitName) -> Option<u64> {
        match name {
            LimitName::TokensPerRun => self.tokens_per_run,
            LimitName::CostMicroUsdPerRun => self.cost_micro_usd_per_run,
            LimitName::ToolCallsPerRun => self.tool_calls_per_run,
            LimitName::WallTimeMsPerRun => self.wall_time_ms_per_run,
            LimitName::TokensPerDay => self.tokens_per_day,
            LimitName::CostMicroUsdPerDay => self.cost_micro_usd_per_day,
            LimitName::ToolCallsPerDay => self.tool_calls_per_day,
            LimitName::WallTimeMsPerDay => self.wall_time_ms_per_day,
        }
    }
}

/// The limits by name; each name says its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// Tokens in and out of the run.
    TokensPerRun,
    /// Millionths of a US dollar of the run.
    CostMicroUsdPerRun,
    /// Tool calls of the run.
    ToolCallsPerRun,
    /// Milliseconds of the run.
    WallTimeMsPerRun,
    /// Tokens in and out of the agent's day.
    TokensPerDay,
    /// Millionths of a US dollar of the agent's day.
    CostMicroUsdPerDay,
    /// Tool calls of the agent's day.
    ToolCallsPerDay,
    /// Milliseconds of the agent's day.
    WallTimeMsPerDay,
}

/// What happens when a budget is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// The call is refused, the run goes on.
    #[default]
    DenyCall,
    /// The run waits for a person.
    Pause,
    /// The run is cancelled.
    Cancel,
}

/// How a run stands with its limits: the fold of its `budget.*` events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetState {
    /// Limits of which 80 % were used at some time.
    pub warned: BTreeSet<LimitName>,
    /// Limits that were exceeded at some time.
    pub exceeded: BTreeSet<LimitName>,
    /// Limits that a person raised, and to what.
    pub raised: BTreeMap<LimitName, u64>,
}
