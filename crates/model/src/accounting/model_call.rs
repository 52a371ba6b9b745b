//! A model call: whose model, how many tokens, for how much.

use serde_json::Value;

use super::fields::{Fields, InvalidField};
use super::{MAX_COST_MICRO_USD, MAX_TOKENS};
use crate::Timestamp;
use crate::price::{PriceTable, ServiceTerms, ServiceTier};
use crate::tokens::Tokens;

/// Cost of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Source of the cost.
    pub basis: CostBasis,
}

/// Source of a call's cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostBasis {
    /// The agent.
    Agent,
    /// A price.
    Price {
        /// Source of the price.
        source: String,
        /// Since when it holds, as `YYYY-MM-DD`.
        date: String,
    },
}

/// Counted part of a `model.called` event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelCall {
    /// Provider of the model, if reported.
    pub provider: Option<String>,
    /// Name of the model, if reported.
    pub model: Option<String>,
    /// Tokens of the call.
    pub tokens: Tokens,
    /// Cost that errand counts, if it is known.
    pub cost_micro_usd: Option<u64>,
    /// The step it belongs to, where the agent said.
    pub step: Option<String>,
    /// The agent inside of the run that made it, where the agent said.
    pub agent: Option<String>,
    /// The reservation that it settles.
    pub reservation_id: Option<String>,
}

/// Members that say what a call cost and who said so. The last three are errand's alone.
const COST: &str = "cost_micro_usd";
const PRICED_BY: &str = "priced_by";
const SOURCE: &str = "price_source";
const DATE: &str = "price_date";

impl ModelCall {
    /// Reads one as it was kept. What is missing or makes no sense counts as nothing.
    pub fn of(data: &Value) -> Self {
        let fields = Fields::of(data);
        let tokens = |name| fields.count(name, MAX_TOKENS).ok().flatten().unwrap_or(0);
        Self {
            provider: fields.kept_name("provider"),
            model: fields.kept_name("model"),
            tokens: Tokens {
                input: tokens("input_tokens"),
                output: tokens("output_tokens"),
                cached: tokens("cached_tokens"),
                reasoning: tokens("reasoning_tokens"),
                cache_write: tokens("cache_write_tokens"),
                cache_write_long: tokens("cache_write_long_tokens"),
            },
            cost_micro_usd: kept_cost(fields),
            step: fields.kept_name("step"),
            agent: fields.kept_name("agent"),
            reservation_id: fields.kept_name("reservation_id"),
        }
    }

    /// Returns the cost of a checked call: as the agent reports it, or else by the price table.
    /// `None`: unknown, which is not zero.
    pub fn cost(data: &Value, prices: &PriceTable, at: Timestamp) -> Option<Cost> {
        let fields = Fields::of(data);
        if let Some(said) = said(fields).ok().flatten() {
            return Some(Cost { micro_usd: said, basis: CostBasis::Agent });
        }
        let call = Self::of(data);
        let price = prices.price_of(call.provider.as_deref(), call.model.as_deref()?, at)?;
        // A call of which no tokens are known has no known cost.
        if fields.get("input_tokens").is_none() && fields.get("output_tokens").is_none() {
            return None;
        }
        let cost = price.cost(call.tokens, terms(fields)?)?;
        let basis = CostBasis::Price { source: price.source.clone(), date: price.date.to_string() };
        Some(Cost { micro_usd: cost.min(MAX_COST_MICRO_USD), basis })
    }

    /// Writes into the event what errand found the call to cost.
    pub fn put_cost(data: &mut Value, cost: Option<&Cost>) {
        let Some(members) = data.as_object_mut() else { return };
        for name in [COST, PRICED_BY, SOURCE, DATE] {
            members.remove(name);
        }
        let Some(cost) = cost else { return };
        members.insert(COST.to_owned(), cost.micro_usd.into());
        match &cost.basis {
            CostBasis::Agent => {
                members.insert(PRICED_BY.to_owned(), "agent".into());
            }
            CostBasis::Price { source, date } => {
                members.insert(PRICED_BY.to_owned(), "price_table".into());
                members.insert(SOURCE.to_owned(), source.clone().into());
                members.insert(DATE.to_owned(), date.clone().into());
            }
        }
    }
}

/// Terms of the call; `None`: a class of service that is not known, whose price is not either.
fn terms(fields: Fields<'_>) -> Option<ServiceTerms> {
    let word = fields.get("service_tier").and_then(Value::as_str);
    let tier = word.map_or(Some(ServiceTier::Standard), ServiceTier::of)?;
    let is_regional = fields.truth("regional").ok().flatten().unwrap_or(false);
    Some(ServiceTerms { tier, is_regional })
}

/// Returns the cost that errand wrote into the event.
pub(super) fn kept_cost(fields: Fields<'_>) -> Option<u64> {
    fields.count(COST, MAX_COST_MICRO_USD).ok().flatten()
}

/// Returns the cost as the agent reports it.
pub(super) fn said(fields: Fields<'_>) -> Result<Option<u64>, InvalidField> {
    let in_usd = match fields.get("cost_usd") {
        Some(value) => {
            let wrong =
                |error: super::MalformedCost| InvalidField::at("cost_usd", error.to_string());
            Some(super::micro_usd(value).map_err(wrong)?)
        }
        None => None,
    };
    let in_micro = fields.count(COST, MAX_COST_MICRO_USD)?;
    match (in_usd, in_micro) {
        (Some(usd), Some(micro)) if usd != micro => {
            Err(InvalidField::at(COST, format!("cost_usd says {usd}, and this says {micro}")))
        }
        (Some(cost), _) | (None, Some(cost)) => Ok(Some(cost)),
        (None, None) => Ok(None),
    }
}
