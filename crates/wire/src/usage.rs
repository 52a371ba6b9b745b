//! Usage of a model call as a provider reports it, in one convention for all formats.

use errand_model::accounting::{MAX_COST_MICRO_USD, MAX_TOKENS, Tokens, micro_usd};
use errand_model::price::ServiceTier;
use serde::{Deserialize, Serialize};

/// Tokens of one call. A count that the provider did not give is `None`, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WireUsage {
    /// Tokens read, those from and to a cache included.
    pub input: Option<u64>,
    /// Tokens written, those of reasoning included.
    pub output: Option<u64>,
    /// Part of the input that was read from a cache.
    pub cached: Option<u64>,
    /// Part of the input that was written to a cache for the short time that is the provider's
    /// default: 5 minutes, or 30.
    pub cache_write: Option<u64>,
    /// Part of the input that was written to a cache for the long time: 1 hour, or 12.
    pub cache_write_long: Option<u64>,
    /// Part of the output that was spent on reasoning.
    pub reasoning: Option<u64>,
    /// Cost that the provider charges by its own account, in millionths of a US dollar. Zero is
    /// never reported: providers write it where they do not know.
    pub cost_micro_usd: Option<u64>,
    /// Class of service that was billed, if the provider names one.
    pub tier: Option<ServiceTier>,
}

impl WireUsage {
    /// Usage of a call that costs nothing, such as counting.
    pub const FREE: Self = Self {
        input: Some(0),
        output: Some(0),
        cached: None,
        cache_write: None,
        cache_write_long: None,
        reasoning: None,
        cost_micro_usd: None,
        tier: None,
    };

    /// Returns the tokens as prices count them; `None`: input or output is not known.
    pub fn tokens(&self) -> Option<Tokens> {
        Some(Tokens {
            input: self.input?,
            output: self.output?,
            cached: self.cached.unwrap_or(0),
            reasoning: self.reasoning.unwrap_or(0),
            cache_write: self.cache_write.unwrap_or(0),
            cache_write_long: self.cache_write_long.unwrap_or(0),
        })
    }

    /// Returns true if nothing at all is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Replaces the counts that a later report of the same call gives.
    ///
    /// Counts of a call only grow. So a zero does not replace what is known: some providers fill
    /// members with it that they do not report again.
    pub fn replace(&mut self, later: &Self) {
        replace_count(&mut self.input, later.input);
        replace_count(&mut self.output, later.output);
        replace_count(&mut self.cached, later.cached);
        replace_count(&mut self.cache_write, later.cache_write);
        replace_count(&mut self.cache_write_long, later.cache_write_long);
        replace_count(&mut self.reasoning, later.reasoning);
        replace_count(&mut self.cost_micro_usd, later.cost_micro_usd);
        self.tier = later.tier.or(self.tier);
    }
}

/// Replaces a count by a later one, unless that is a zero and something is known.
pub(crate) fn replace_count(known: &mut Option<u64>, later: Option<u64>) {
    if let Some(count) = later.filter(|count| *count > 0 || known.is_none()) {
        *known = Some(count);
    }
}

/// A count that a call can have. Anything larger is as if it were not reported.
pub(crate) fn plausible(count: Option<u64>) -> Option<u64> {
    count.filter(|count| *count <= MAX_TOKENS)
}

/// A cost above zero, in millionths of a US dollar, from a decimal number of dollars.
pub(crate) fn provider_cost(value: Option<&serde_json::value::RawValue>) -> Option<u64> {
    let value = serde_json::from_str(value?.get()).ok()?;
    micro_usd(&value).ok().filter(|cost| (1..=MAX_COST_MICRO_USD).contains(cost))
}

/// Parts that were written to a cache: for the short time, and for the long one.
///
/// `total` is all that was written, and `short` and `long` are its parts, each as far as it is
/// reported. A rest that no part names was written for the short time.
pub(crate) fn cache_writes(
    total: Option<u64>,
    short: Option<u64>,
    long: Option<u64>,
) -> (Option<u64>, Option<u64>) {
    let (total, short, long) = (plausible(total), plausible(short), plausible(long));
    let named = short.unwrap_or(0).saturating_add(long.unwrap_or(0));
    match total {
        Some(total) if total > named => (Some(total - long.unwrap_or(0)), long),
        Some(_) | None => (short.or(total.filter(|_| long.is_none())), long),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_replaces_and_a_zero_does_not() {
        let mut usage = WireUsage { input: Some(100), output: Some(1), ..WireUsage::default() };
        usage.replace(&WireUsage { input: Some(0), output: Some(40), ..WireUsage::default() });
        usage.replace(&WireUsage { output: Some(55), cached: Some(0), ..WireUsage::default() });
        let expected = WireUsage {
            input: Some(100),
            output: Some(55),
            cached: Some(0),
            ..WireUsage::default()
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn the_rest_of_cache_writes_was_for_the_short_time() {
        assert_eq!(cache_writes(None, None, None), (None, None));
        assert_eq!(cache_writes(Some(9), None, None), (Some(9), None));
        assert_eq!(cache_writes(Some(9), Some(4), Some(5)), (Some(4), Some(5)));
        assert_eq!(cache_writes(Some(9), None, Some(5)), (Some(4), Some(5)));
        assert_eq!(cache_writes(Some(5), None, Some(5)), (None, Some(5)));
        assert_eq!(cache_writes(None, Some(4), Some(5)), (Some(4), Some(5)));
        assert_eq!(cache_writes(Some(0), Some(0), Some(0)), (Some(0), Some(0)));
        assert_eq!(cache_writes(Some(MAX_TOKENS + 1), None, None), (None, None));
    }
}
