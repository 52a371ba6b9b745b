//! Usage sums: the output of `errand usage --json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`UsageDocument`].
pub const USAGE_SCHEMA: u32 = 1;

/// Sums of what calls used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub struct UsageDocument {
    /// [`USAGE_SCHEMA`].
    pub schema: u32,
    /// Grouping of the rows: `run`, `agent`, `model`, `session`, `day`, `step`, `tool` or
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

/// Key of one row, and its sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSums {
    /// Key of the row; `null` for calls without one, and for the total.
    pub key: Option<String>,
    /// Runs that worked, or called something.
    pub runs: u64,
    /// Calls of models.
    pub model_calls: u64,
    /// Calls of these whose cost is not known.
    pub unpriced_calls: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Input tokens that were read from a cache.
    pub cached_tokens: u64,
    /// Output tokens that were spent on reasoning.
    pub reasoning_tokens: u64,
    /// Known cost in millionths of a US dollar; `null` where no call's cost is known.
    pub cost_micro_usd: Option<u64>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Milliseconds that agents' processes worked, pauses not counted; of attempts that are over.
    pub wall_time_ms: u64,
}
