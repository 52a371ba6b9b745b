//! Usage of the `OpenAI` formats: the input includes what was cached.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{Count, Object};
use crate::usage::{WireUsage, cache_writes, plausible, provider_cost};

/// The `usage` of chat completions, embeddings and responses, which name the same counts
/// differently.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChatUsage<'a> {
    prompt_tokens: Count,
    input_tokens: Count,
    completion_tokens: Count,
    output_tokens: Count,
    prompt_tokens_details: Object<InputDetails>,
    input_tokens_details: Object<InputDetails>,
    completion_tokens_details: Object<OutputDetails>,
    output_tokens_details: Object<OutputDetails>,
    /// Cached input, in the word of some servers of this format.
    prompt_cache_hit_tokens: Count,
    /// Cost in US dollars, as aggregators report it.
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    cache_write_tokens_details: Object<WriteDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WriteDetails {
    ttl_30m_tokens: Count,
    ttl_12h_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

impl ChatUsage<'_> {
    /// Returns the usage; the service tier stands elsewhere.
    pub(crate) fn usage(&self) -> WireUsage {
        let input = self.input_tokens_details.0.as_ref().or(self.prompt_tokens_details.0.as_ref());
        let output =
            self.output_tokens_details.0.as_ref().or(self.completion_tokens_details.0.as_ref());
        let writes = input.and_then(|input| input.cache_write_tokens_details.0.as_ref());
        let (cache_write, cache_write_long) = cache_writes(
            input.and_then(|input| input.cache_write_tokens.0),
            writes.and_then(|writes| writes.ttl_30m_tokens.0),
            writes.and_then(|writes| writes.ttl_12h_tokens.0),
        );
        let cached = input.and_then(|input| input.cached_tokens.0);
        WireUsage {
            input: plausible(self.input_tokens.0.or(self.prompt_tokens.0)),
            output: plausible(self.output_tokens.0.or(self.completion_tokens.0)),
            cached: plausible(cached.or(self.prompt_cache_hit_tokens.0)),
            cache_write,
            cache_write_long,
            reasoning: plausible(output.and_then(|output| output.reasoning_tokens.0)),
            cost_micro_usd: provider_cost(self.cost),
            tier: None,
        }
    }
}
