//! Limits on what a run may spend, as the agent file writes them.

use errand_model::budget::LimitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use thiserror::Error;

use crate::budget::parse_limit;

/// Limits; dollars have at most six decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBudgets {
    /// Tokens in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_run: Option<u64>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub cost_usd_per_run: Option<Number>,
    /// Tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_run: Option<u64>,
    /// Time that the agent works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub wall_time_per_run: Option<String>,
    /// Tokens in and out, all runs of the agent in one UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// US dollars, all runs of the agent in one UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub cost_usd_per_day: Option<Number>,
    /// Tool calls, all runs of the agent in one UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls_per_day: Option<u64>,
    /// Time that the agent works, all its runs in one UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub wall_time_per_day: Option<String>,
}

impl RunBudgets {
    /// The limits that are given, in errand's own units.
    ///
    /// # Errors
    ///
    /// [`MalformedBudget`] for the first that has a value it cannot have.
    pub fn limits(&self) -> Result<Vec<(LimitName, u64)>, MalformedBudget> {
        let Ok(Value::Object(given)) = serde_json::to_value(self) else { return Ok(Vec::new()) };
        let limit = |(field, value): (String, Value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text = format!("{field}={text}");
            parse_limit(&text).map_err(|error| MalformedBudget { field, hint: error.hint })
        };
        given.into_iter().map(limit).collect()
    }
}

/// A limit that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} cannot be read: {hint}")]
pub struct MalformedBudget {
    /// The field.
    pub field: String,
    /// Expected value.
    pub hint: String,
}
