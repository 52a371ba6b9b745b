//! Tokens of model calls.

use serde::{Deserialize, Serialize};

/// Tokens of one call, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Read, those from a cache included.
    pub input: u64,
    /// Written, those spent on reasoning included.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
    /// Output tokens that were spent on reasoning.
    pub reasoning: u64,
    /// Input tokens that were written to a cache for the provider's short time: minutes.
    #[serde(default)]
    pub cache_write: u64,
    /// Input tokens that were written to a cache for the provider's long time: hours.
    #[serde(default)]
    pub cache_write_long: u64,
}

impl Tokens {
    /// Returns the tokens that count towards a budget: input and output.
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
