//! What `errand usage --json` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Usage`].
pub const USAGE_SCHEMA: u32 = 1;

/// Sums of what calls used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// [`USAGE_SCHEMA`].
    pub schema: u32,
    /// What each row is about: `run`, `agent`, `model`, `session`, `day`, `step`, `tool` or
    /// `label=<key>`.
    pub by: String,
    /// The first day that is counted, `YYYY-MM-DD` in UTC.
    pub since: Option<String>,
    /// The last day that is counted.
    pub until: Option<String>,
    /// The most expensive first.
    pub rows: Vec<UsageSums>,
    /// All rows together, those that are not shown included; by tool and by model, calls of the
    /// other kind are in neither.
    pub total: UsageSums,
}

/// What one row is about, and its sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSums {
    /// What it is about; `null` for whatever has no such thing, and for the total.
    pub key: Option<String>,
    /// Runs that worked, or called something.
    pub runs: u64,
    /// Calls of models.
    pub model_calls: u64,
    /// Of these, calls whose cost is not known.
    pub unpriced_calls: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the input, read from a cache.
    pub cached_tokens: u64,
    /// Of the output, spent on reasoning.
    pub reasoning_tokens: u64,
    /// Known cost in millionths of a US dollar; `null` where no call's cost is known.
    pub cost_micro_usd: Option<u64>,
    /// The same in US dollars.
    pub cost_usd: Option<f64>,
    /// Milliseconds that agents' processes worked, pauses not counted; of attempts that are over.
    pub wall_time_ms: u64,
}
