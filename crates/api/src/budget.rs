//! Limits as people write and read them: dollars and durations, where errand counts millionths and
//! milliseconds.

use errand_model::budget::LimitName;
use errand_model::spend::BudgetMeasure;
use errand_model::{MalformedDuration, parse_duration};
use serde_json::Value;
use thiserror::Error;

use crate::agent_file::parse_micro_usd;

/// A limit's name in the agent file.
pub const fn spoken_name(limit: LimitName) -> &'static str {
    match limit {
        LimitName::TokensPerRun => "tokens_per_run",
        LimitName::CostMicroUsdPerRun => "cost_usd_per_run",
        LimitName::ToolCallsPerRun => "tool_calls_per_run",
        LimitName::WallTimeMsPerRun => "wall_time_per_run",
        LimitName::TokensPerDay => "tokens_per_day",
        LimitName::CostMicroUsdPerDay => "cost_usd_per_day",
        LimitName::ToolCallsPerDay => "tool_calls_per_day",
        LimitName::WallTimeMsPerDay => "wall_time_per_day",
    }
}

/// An amount of what a limit measures, with its unit.
pub fn spoken_amount(measure: BudgetMeasure, amount: u64) -> String {
    match measure {
        BudgetMeasure::Tokens => format!("{amount} tokens"),
        BudgetMeasure::CostMicroUsd => {
            format!("{}.{:06} USD", amount / 1_000_000, amount % 1_000_000)
        }
        BudgetMeasure::ToolCalls => format!("{amount} tool calls"),
        BudgetMeasure::WallTimeMs => format!("{}.{:03} s", amount / 1_000, amount % 1_000),
    }
}

/// Says that a limit is spent: `tokens_per_run is spent (800 of 1000)`.
pub fn spoken_spent(limit: LimitName, used: u64, allowed: u64) -> String {
    let measure = limit.measure();
    let (used, allowed) = match measure {
        BudgetMeasure::Tokens | BudgetMeasure::ToolCalls => (used.to_string(), allowed.to_string()),
        BudgetMeasure::CostMicroUsd | BudgetMeasure::WallTimeMs => {
            (spoken_amount(measure, used), spoken_amount(measure, allowed))
        }
    };
    format!("{} is spent ({used} of {allowed})", spoken_name(limit))
}

/// Reads `cost_usd_per_run=0.50`: a limit's name in the agent file and its value, as there.
///
/// # Errors
///
/// [`MalformedLimit`].
pub fn parse_limit(text: &str) -> Result<(LimitName, u64), MalformedLimit> {
    let malformed = |hint: String| MalformedLimit { text: text.to_owned(), hint };
    let names = || LimitName::ALL.map(spoken_name).join(", ");
    let Some((name, value)) = text.split_once('=') else {
        return Err(malformed("write NAME=VALUE, such as cost_usd_per_run=0.50".to_owned()));
    };
    let found = LimitName::ALL.into_iter().find(|limit| spoken_name(*limit) == name);
    let limit = found.ok_or_else(|| malformed(format!("the limits are {}", names())))?;
    let allowed = match limit.measure() {
        BudgetMeasure::Tokens | BudgetMeasure::ToolCalls => {
            value.parse().map_err(|_| "a whole number")
        }
        BudgetMeasure::CostMicroUsd => {
            parse_micro_usd(value).ok_or("US dollars with at most six decimals, such as 2.50")
        }
        BudgetMeasure::WallTimeMs => parse_duration(value)
            .map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
            .map_err(|_| MalformedDuration::HINT),
    };
    Ok((limit, allowed.map_err(|hint| malformed(hint.to_owned()))?))
}

/// A limit and its value as the agent file has them.
pub fn spelled(limit: LimitName, value: u64) -> (&'static str, Value) {
    let written = match limit.measure() {
        BudgetMeasure::Tokens | BudgetMeasure::ToolCalls => Value::from(value),
        BudgetMeasure::CostMicroUsd => Value::from(crate::record::usd(value)),
        BudgetMeasure::WallTimeMs => Value::from(format!("{value}ms")),
    };
    (spoken_name(limit), written)
}

/// The text is no limit.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a limit: {hint}")]
pub struct MalformedLimit {
    /// Text as given.
    pub text: String,
    /// Advice for the user.
    pub hint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_in_the_agent_file() {
        for (text, limit) in [
            ("tokens_per_run=200000", (LimitName::TokensPerRun, 200_000)),
            ("cost_usd_per_run=0.5", (LimitName::CostMicroUsdPerRun, 500_000)),
            ("cost_usd_per_day=25", (LimitName::CostMicroUsdPerDay, 25_000_000)),
            ("wall_time_per_run=1m30s", (LimitName::WallTimeMsPerRun, 90_000)),
        ] {
            assert_eq!(parse_limit(text), Ok(limit));
        }
        for text in [
            "",
            "tokens_per_run",
            "tokens_per_run=-1",
            "tokens_per_run=1.5",
            "cost_usd_per_run=-0.5",
            "cost_usd_per_run=0.0000001",
            "wall_time_per_run=5",
            "cost_micro_usd_per_run=5",
            "on_exceed=pause",
        ] {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }
}
