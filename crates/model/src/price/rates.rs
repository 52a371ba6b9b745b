//! Rates of a price: what each kind of token costs.

use serde::Serialize;

use crate::tokens::Tokens;

/// Micro-dollars for a million tokens, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenRates {
    /// Input that neither came from a cache nor went to one.
    #[serde(rename = "input_micro_usd_per_million")]
    pub input: u64,
    /// Input read from a cache; what other input costs, where it has no price of its own.
    #[serde(rename = "cached_input_micro_usd_per_million")]
    pub cached_input: u64,
    /// Input written to a cache for the provider's short time; what other input costs, where it has
    /// no price of its own.
    #[serde(rename = "cache_write_micro_usd_per_million")]
    pub cache_write: u64,
    /// Input written to a cache for the provider's long time; what a write for the short time costs,
    /// where it has no price of its own.
    #[serde(rename = "cache_write_long_micro_usd_per_million")]
    pub cache_write_long: u64,
    /// Output, reasoning included.
    #[serde(rename = "output_micro_usd_per_million")]
    pub output: u64,
}

impl TokenRates {
    /// Cost of tokens in millionths of a micro-dollar.
    pub(super) fn sum(&self, tokens: Tokens) -> u128 {
        let part = |tokens: u64, rate: u64| u128::from(tokens).saturating_mul(u128::from(rate));
        // No more is cached than was read.
        let mut left = tokens.input;
        let mut take = |tokens: u64| {
            let taken = tokens.min(left);
            left -= taken;
            taken
        };
        let cached = take(tokens.cached);
        let written = take(tokens.cache_write);
        let written_long = take(tokens.cache_write_long);
        part(left, self.input)
            .saturating_add(part(cached, self.cached_input))
            .saturating_add(part(written, self.cache_write))
            .saturating_add(part(written_long, self.cache_write_long))
            .saturating_add(part(tokens.output, self.output))
    }

    /// The highest rate of any input.
    pub(super) fn dearest_input(&self) -> u64 {
        self.input.max(self.cached_input).max(self.cache_write).max(self.cache_write_long)
    }
}

/// Rates of requests with a long prompt. They hold for the whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LongPromptRates {
    /// The rates hold for prompts of more tokens than that, cached ones included.
    #[serde(rename = "above_tokens")]
    pub above: u64,
    /// Rates of such requests.
    #[serde(flatten)]
    pub rates: TokenRates,
}
