//! Counters of model calls.

use std::borrow::Cow;

use errand_model::accounting::ModelCall;
use prometheus_client::metrics::counter::Counter;

use super::{BoundedFamily, MetricTable};

/// Models with counters of their own.
const MODELS: usize = 200;
/// Name of a model or provider that a call did not name.
const UNNAMED: &str = "unknown";
/// Kinds of tokens.
const KINDS: [&str; 4] = ["input", "cached_input", "output", "reasoning_output"];

/// Counters of model calls, by provider and model.
#[derive(Debug)]
pub(super) struct ModelMetrics {
    calls: BoundedFamily<2, Counter>,
    /// Also by kind.
    tokens: BoundedFamily<3, Counter>,
    micro_usd: BoundedFamily<2, Counter>,
    unpriced: BoundedFamily<2, Counter>,
}

impl ModelMetrics {
    pub(super) fn new(table: &mut MetricTable) -> Self {
        let of_models = || BoundedFamily::new(MODELS, Counter::default);
        let of_kinds = BoundedFamily::new(MODELS * KINDS.len(), Counter::default);
        Self {
            calls: table.add("errand_model_calls", "Calls of models", of_models()),
            tokens: table.add(
                "errand_model_tokens",
                "Tokens: input contains cached_input, output reasoning_output",
                of_kinds,
            ),
            micro_usd: table.add(
                "errand_model_cost_micro_usd",
                "What calls cost, in millionths of a US dollar",
                of_models(),
            ),
            unpriced: table.add(
                "errand_model_calls_unpriced",
                "Calls whose cost is not known",
                of_models(),
            ),
        }
    }

    pub(super) fn count(&self, call: ModelCall) {
        let named = |name: Option<String>| name.map_or(Cow::Borrowed(UNNAMED), Cow::Owned);
        let labels = [("provider", named(call.provider)), ("model", named(call.model))];
        self.calls.of(labels.clone()).inc();
        let tokens = call.tokens;
        let counts = [tokens.input, tokens.cached, tokens.output, tokens.reasoning];
        for (kind, count) in KINDS.into_iter().zip(counts) {
            let [provider, model] = labels.clone();
            self.tokens.of([provider, model, ("kind", kind.into())]).inc_by(count);
        }
        // Both counters exist for each model, so that a ratio of them has a value.
        self.micro_usd.of(labels.clone()).inc_by(call.cost_micro_usd.unwrap_or(0));
        self.unpriced.of(labels).inc_by(u64::from(call.cost_micro_usd.is_none()));
    }
}
