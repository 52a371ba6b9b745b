//! Limits on tokens, money, calls and time: what may be spent, and what happens at the end of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spend::BudgetMeasure;
use crate::stopwatch::Stopwatch;

/// Limits on a run's spending, pinned at admission. Several may apply; `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetLimits {
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
    /// Action at a limit.
    pub on_exceed: OnExceed,
    /// Action when most of a limit is used.
    #[serde(skip_serializing_if = "OnWarn::is_default")]
    pub on_warn: OnWarn,
}

impl BudgetLimits {
    /// Returns true if no limit is set.
    pub fn is_unlimited(&self) -> bool {
        *self == Self { on_exceed: self.on_exceed, on_warn: self.on_warn, ..Self::default() }
    }

    /// Returns the value of a limit; `None`: no such limit.
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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

/// The spending that a limit covers: of one run, or of an agent's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetScope {
    /// Spending of the run.
    Run,
    /// All runs of an agent in one UTC day.
    Day,
}

impl LimitName {
    /// All limits.
    pub const ALL: [Self; 8] = [
        Self::TokensPerRun,
        Self::CostMicroUsdPerRun,
        Self::ToolCallsPerRun,
        Self::WallTimeMsPerRun,
        Self::TokensPerDay,
        Self::CostMicroUsdPerDay,
        Self::ToolCallsPerDay,
        Self::WallTimeMsPerDay,
    ];

    /// The limit of that measure.
    pub const fn of(scope: BudgetScope, measure: BudgetMeasure) -> Self {
        match (scope, measure) {
            (BudgetScope::Run, BudgetMeasure::Tokens) => Self::TokensPerRun,
            (BudgetScope::Run, BudgetMeasure::CostMicroUsd) => Self::CostMicroUsdPerRun,
            (BudgetScope::Run, BudgetMeasure::ToolCalls) => Self::ToolCallsPerRun,
            (BudgetScope::Run, BudgetMeasure::WallTimeMs) => Self::WallTimeMsPerRun,
            (BudgetScope::Day, BudgetMeasure::Tokens) => Self::TokensPerDay,
            (BudgetScope::Day, BudgetMeasure::CostMicroUsd) => Self::CostMicroUsdPerDay,
            (BudgetScope::Day, BudgetMeasure::ToolCalls) => Self::ToolCallsPerDay,
            (BudgetScope::Day, BudgetMeasure::WallTimeMs) => Self::WallTimeMsPerDay,
        }
    }

    /// Returns the spending that the limit covers.
    pub const fn scope(self) -> BudgetScope {
        match self {
            Self::TokensPerRun
            | Self::CostMicroUsdPerRun
            | Self::ToolCallsPerRun
            | Self::WallTimeMsPerRun => BudgetScope::Run,
            Self::TokensPerDay
            | Self::CostMicroUsdPerDay
            | Self::ToolCallsPerDay
            | Self::WallTimeMsPerDay => BudgetScope::Day,
        }
    }

    /// Returns the measure that the limit bounds.
    pub const fn measure(self) -> BudgetMeasure {
        match self {
            Self::TokensPerRun | Self::TokensPerDay => BudgetMeasure::Tokens,
            Self::CostMicroUsdPerRun | Self::CostMicroUsdPerDay => BudgetMeasure::CostMicroUsd,
            Self::ToolCallsPerRun | Self::ToolCallsPerDay => BudgetMeasure::ToolCalls,
            Self::WallTimeMsPerRun | Self::WallTimeMsPerDay => BudgetMeasure::WallTimeMs,
        }
    }

    /// The stored word; its unit is in it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TokensPerRun => "tokens_per_run",
            Self::CostMicroUsdPerRun => "cost_micro_usd_per_run",
            Self::ToolCallsPerRun => "tool_calls_per_run",
            Self::WallTimeMsPerRun => "wall_time_ms_per_run",
            Self::TokensPerDay => "tokens_per_day",
            Self::CostMicroUsdPerDay => "cost_micro_usd_per_day",
            Self::ToolCallsPerDay => "tool_calls_per_day",
            Self::WallTimeMsPerDay => "wall_time_ms_per_day",
        }
    }
}

impl BudgetLimits {
    /// All that are set, by name.
    pub fn named(&self) -> impl Iterator<Item = (LimitName, u64)> {
        LimitName::ALL.into_iter().filter_map(|name| Some((name, self.of(name)?)))
    }

    /// Returns the limits with one of them tightened: the smaller value holds.
    #[must_use]
    pub fn tightened(mut self, name: LimitName, allowed: u64) -> Self {
        let limit = match name {
            LimitName::TokensPerRun => &mut self.tokens_per_run,
            LimitName::CostMicroUsdPerRun => &mut self.cost_micro_usd_per_run,
            LimitName::ToolCallsPerRun => &mut self.tool_calls_per_run,
            LimitName::WallTimeMsPerRun => &mut self.wall_time_ms_per_run,
            LimitName::TokensPerDay => &mut self.tokens_per_day,
            LimitName::CostMicroUsdPerDay => &mut self.cost_micro_usd_per_day,
            LimitName::ToolCallsPerDay => &mut self.tool_calls_per_day,
            LimitName::WallTimeMsPerDay => &mut self.wall_time_ms_per_day,
        };
        *limit = Some(limit.map_or(allowed, |existing| existing.min(allowed)));
        self
    }
}

/// Reaction to a budget that is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Reaction when most of a budget is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnWarn {
    /// The warning is recorded.
    #[default]
    Record,
    /// The next request to a model also tells it how much is left.
    Steer,
}

impl OnWarn {
    /// Returns true for the reaction that need not be written.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Text about its budget that a model was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldBudget {
    /// Key of the step of the call that told it.
    pub step: String,
    /// The text.
    pub text: String,
}

/// State of a run's limits: the fold of its `budget.*` events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetState {
    /// Limits of which 80 % were used at some time.
    pub warned: BTreeSet<LimitName>,
    /// Limits that were exceeded at some time.
    pub exceeded: BTreeSet<LimitName>,
    /// Limits that a person raised, and to what.
    pub raised: BTreeMap<LimitName, u64>,
    /// Limits that are exceeded, and of which nothing was said since: neither raised nor resumed.
    pub spent: BTreeSet<LimitName>,
    /// Limits whose warning no model was told although it is to be, with the amount used at the time of
    /// the warning.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub untold: BTreeMap<LimitName, u64>,
    /// Last text about the budget that a model was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steered: Option<ToldBudget>,
    /// Working time of the agent.
    pub watch: Stopwatch,
}
