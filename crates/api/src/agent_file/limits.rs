//! Limits of an agent: of a machine, in time, and in money.

use errand_model::budget::{BudgetLimits, OnExceed, OnWarn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{CpuText, DurationText, MemoryText, UsdAmount};

/// Resources that the agent needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Resources")]
pub struct AgentResources {
    /// Cores, for placement on workers alone: errand does not keep an agent from using more.
    #[serde(alias = "cpu")]
    #[schemars(rename = "cpu", with = "CpuText")]
    pub cpu_millis: Option<u64>,
    /// Memory of the agent's processes together, for placement on workers and enforced: an attempt
    /// that uses more is ended with `out_of_memory`.
    #[serde(alias = "memory")]
    #[schemars(rename = "memory", with = "MemoryText")]
    pub memory_bytes: Option<u64>,
    /// Whole GPUs, for placement on workers alone: errand hands no device to the agent.
    #[schemars(range(max = 1024))]
    pub gpu: u32,
    /// Processes and threads of a container together: 4096 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 4_194_304))]
    pub pids: Option<u32>,
}

/// Time limits; an absent one is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Timeouts")]
pub struct AgentTimeouts {
    /// All attempts of a run together.
    #[serde(alias = "run")]
    #[schemars(rename = "run", with = "DurationText")]
    pub run_ms: Option<u64>,
    /// Limit of one step.
    #[serde(alias = "step")]
    #[schemars(rename = "step", with = "DurationText")]
    pub step_ms: Option<u64>,
    /// From admission to the first attempt.
    #[serde(alias = "queue")]
    #[schemars(rename = "queue", with = "DurationText")]
    pub queue_ms: Option<u64>,
    /// From asking a person to the decision.
    #[serde(alias = "approval")]
    #[schemars(rename = "approval", with = "DurationText")]
    pub approval_ms: Option<u64>,
}

/// Limits on tokens, money and calls; the smallest that applies wins, what is left out has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Tokens in and out, all model calls of a run.
    pub tokens_per_run: Option<u64>,
    /// US dollars, one run; at most six decimals.
    #[serde(alias = "cost_usd_per_run")]
    #[schemars(rename = "cost_usd_per_run", with = "UsdAmount")]
    pub cost_micro_usd_per_run: Option<u64>,
    /// US dollars, all runs of the agent in one UTC day; at most six decimals.
    #[serde(alias = "cost_usd_per_day")]
    #[schemars(rename = "cost_usd_per_day", with = "UsdAmount")]
    pub cost_micro_usd_per_day: Option<u64>,
    /// Tool calls of a run.
    pub tool_calls_per_run: Option<u64>,
    /// Time that the agent's processes worked in a run, pauses not counted.
    #[serde(alias = "wall_time_per_run", skip_serializing_if = "Option::is_none")]
    #[schemars(rename = "wall_time_per_run", with = "DurationText")]
    pub wall_time_ms_per_run: Option<u64>,
    /// Tokens in and out, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Tool calls, all runs of the agent in one UTC day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_day: Option<u64>,
    /// Time, all runs of the agent in one UTC day.
    #[serde(alias = "wall_time_per_day", skip_serializing_if = "Option::is_none")]
    #[schemars(rename = "wall_time_per_day", with = "DurationText")]
    pub wall_time_ms_per_day: Option<u64>,
    /// Action at the limit: `deny_call` if left out.
    pub on_exceed: OnExceed,
    /// Action at 80 % of a limit: `record` if left out; `steer` also tells the model with its next
    /// request.
    #[serde(skip_serializing_if = "OnWarn::is_default")]
    pub on_warn: OnWarn,
}

impl From<&Budgets> for BudgetLimits {
    fn from(budgets: &Budgets) -> Self {
        Self {
            tokens_per_run: budgets.tokens_per_run,
            cost_micro_usd_per_run: budgets.cost_micro_usd_per_run,
            tool_calls_per_run: budgets.tool_calls_per_run,
            wall_time_ms_per_run: budgets.wall_time_ms_per_run,
            tokens_per_day: budgets.tokens_per_day,
            cost_micro_usd_per_day: budgets.cost_micro_usd_per_day,
            tool_calls_per_day: budgets.tool_calls_per_day,
            wall_time_ms_per_day: budgets.wall_time_ms_per_day,
            on_exceed: budgets.on_exceed,
            on_warn: budgets.on_warn,
        }
    }
}
