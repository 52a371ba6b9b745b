//! Sum of what calls used: tokens and money.

use serde::{Deserialize, Serialize};

use super::{ModelCall, Tokens, ToolCall};

/// Tokens and money, as reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens read from a cache; part of the input.
    pub cached_tokens: u64,
    /// Tokens spent on reasoning; part of the output.
    pub reasoning_tokens: u64,
    /// Known cost in millionths of a US dollar; `None`: no call's cost is known.
    pub cost_micro_usd: Option<u64>,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
}

impl TokenUsage {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let costs = [self.cost_micro_usd, other.cost_micro_usd];
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            cost_micro_usd: costs.into_iter().flatten().reduce(u64::saturating_add),
            unpriced_calls: self.unpriced_calls.saturating_add(other.unpriced_calls),
        }
    }

    /// Adds what one `model.called` reports; what is missing or no number counts as nothing.
    pub(crate) fn add(&mut self, call: &ModelCall) {
        // What was written to a cache is in the input, and in the cost.
        let Tokens { input, output, cached, reasoning, cache_write: _, cache_write_long: _ } =
            call.tokens;
        self.input_tokens = self.input_tokens.saturating_add(input);
        self.output_tokens = self.output_tokens.saturating_add(output);
        self.cached_tokens = self.cached_tokens.saturating_add(cached);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(reasoning);
        match call.cost_micro_usd {
            Some(cost) => {
                self.cost_micro_usd = Some(self.cost_micro_usd.unwrap_or(0).saturating_add(cost));
            }
            None => self.unpriced_calls += 1,
        }
    }

    /// Adds what one `tool.called` cost. A tool that says nothing of a cost has none: most have
    /// none.
    pub(crate) fn add_tool(&mut self, call: &ToolCall) {
        let costs = [self.cost_micro_usd, call.cost_micro_usd];
        self.cost_micro_usd = costs.into_iter().flatten().reduce(u64::saturating_add);
    }
}
