//! Resources, times, retries and money.

use errand_model::budget::OnExceed;
use errand_model::retry::Backoff;
use schemars::JsonSchema;

use super::scalar::{Cpu, Duration, Memory, RetryOn};

/// What the agent needs of a machine.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Resources {
    /// Cores, for placement on workers alone: errand does not keep an agent from using more.
    pub cpu: Option<Cpu>,
    /// Memory of the agent's processes together, for placement on workers and enforced: an attempt
    /// that uses more is ended with `out_of_memory`.
    pub memory: Option<Memory>,
    /// Whole GPUs, for placement on workers alone: errand hands no device to the agent.
    #[schemars(range(max = 1024))]
    pub gpu: Option<u32>,
}

/// How long things may take; what is left out has no limit.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Timeouts {
    /// All attempts of a run together.
    pub run: Option<Duration>,
    /// One step.
    pub step: Option<Duration>,
    /// From admission to the first attempt.
    pub queue: Option<Duration>,
    /// From asking a person to the decision.
    pub approval: Option<Duration>,
}

/// When a failed attempt is tried again.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts after the first.
    #[schemars(range(max = 1000))]
    pub max_retries: u32,
    /// How the delay grows: `exponential` if left out.
    pub backoff: Option<Backoff>,
    /// Delay before the first retry: `1s` if left out.
    pub initial_delay: Option<Duration>,
    /// No delay is longer: `30s` if left out.
    pub max_delay: Option<Duration>,
    /// Failures that are tried again: all that may pass by themselves if left out.
    #[schemars(extend("uniqueItems" = true))]
    pub retry_on: Option<Vec<RetryOn>>,
}

/// Limits on tokens, money and calls; the smallest that applies wins.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Budgets {
    /// Tokens in and out, all model calls of a run.
    pub tokens_per_run: Option<u64>,
    /// US dollars, one run; at most six decimals.
    #[schemars(range(min = 0))]
    pub cost_usd_per_run: Option<f64>,
    /// US dollars, all runs of the agent in one UTC day; at most six decimals.
    #[schemars(range(min = 0))]
    pub cost_usd_per_day: Option<f64>,
    /// Tool calls of a run.
    pub tool_calls_per_run: Option<u64>,
    /// Time that the agent's processes worked in a run, pauses not counted.
    pub wall_time_per_run: Option<Duration>,
    /// Tokens in and out, all runs of the agent in one UTC day.
    pub tokens_per_day: Option<u64>,
    /// Tool calls, all runs of the agent in one UTC day.
    pub tool_calls_per_day: Option<u64>,
    /// Time, all runs of the agent in one UTC day.
    pub wall_time_per_day: Option<Duration>,
    /// What happens at the limit: `deny_call` if left out.
    pub on_exceed: Option<OnExceed>,
}
