//! Usage of messages: the input excludes what was read from and written to a cache.

use errand_model::price::ServiceTier;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{Count, Object, Text};
use crate::usage::{WireUsage, cache_writes, plausible, provider_cost, replace_count};

/// The `usage` of a message, or of a delta, whose counts are cumulative.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageUsage<'a> {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Object<CacheCreation>,
    output_tokens_details: Object<OutputDetails>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    #[serde(borrow)]
    speed: Text<'a>,
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    thinking_tokens: Count,
}

/// Counts of a message as far as they were reported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MessageCounts {
    /// Counts that stand alone. The cache is missing in `input`.
    reported: WireUsage,
    written: Option<u64>,
    written_short: Option<u64>,
    written_long: Option<u64>,
}

impl MessageCounts {
    /// Takes over a later report, and returns the usage so far.
    pub(super) fn replace(&mut self, later: &MessageUsage<'_>) -> WireUsage {
        self.reported.replace(&later.reported());
        let creation = later.cache_creation.0.as_ref();
        // A later report may give the sum and leave out its parts.
        replace_count(&mut self.written, later.cache_creation_input_tokens.0);
        let short = creation.and_then(|creation| creation.ephemeral_5m_input_tokens.0);
        replace_count(&mut self.written_short, short);
        let long = creation.and_then(|creation| creation.ephemeral_1h_input_tokens.0);
        replace_count(&mut self.written_long, long);
        self.usage()
    }

    fn usage(&self) -> WireUsage {
        let reported = self.reported;
        let (cache_write, cache_write_long) =
            cache_writes(self.written, self.written_short, self.written_long);
        let cache = [reported.cached, cache_write, cache_write_long];
        let input = reported
            .input
            .map(|input| cache.into_iter().flatten().fold(input, u64::saturating_add));
        WireUsage { input: plausible(input), cache_write, cache_write_long, ..reported }
    }
}

impl MessageUsage<'_> {
    fn reported(&self) -> WireUsage {
        let details = self.output_tokens_details.0.as_ref();
        let reasoning =
            details.and_then(|output| output.thinking_tokens.0.or(output.reasoning_tokens.0));
        let tier = ServiceTier::of(self.service_tier.as_str());
        let speed = ServiceTier::of(self.speed.as_str());
        WireUsage {
            input: plausible(self.input_tokens.0),
            output: plausible(self.output_tokens.0),
            cached: plausible(self.cache_read_input_tokens.0),
            reasoning: plausible(reasoning),
            cost_micro_usd: provider_cost(self.cost),
            tier: speed.filter(|speed| *speed == ServiceTier::Fast).or(tier),
            ..WireUsage::default()
        }
    }
}
