//! A part of the budget, asked for before it is used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/budget/reservations`. Granted, or refused with `budget_exceeded`. The report of
/// the call (`model.called`, `tool.called`) settles it with `reservation_id`; what is not settled
/// is given back at the end of the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// Kind of the call.
    pub kind: ReserveKind,
    /// Greatest number of tokens, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Output tokens of these; priced separately if the price table gives the cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Greatest cost in US dollars: a decimal number, or a string with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Value>,
    /// Provider of the model, for the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Name of the model, for the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name of the tool; with it the answer has an idempotency key for the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Arguments of the tool; part of the idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// The step that the call belongs to; part of the idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Kind of a call for which budget is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReserveKind {
    /// A model.
    Model,
    /// A tool.
    Tool,
}

/// Answer to a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReserveAnswer {
    /// Id that the report of the call names.
    pub reservation_id: String,
    /// Tokens that are reserved.
    pub tokens: u64,
    /// Millionths of a US dollar that are reserved.
    pub cost_micro_usd: u64,
    /// Equal for the same call in the same step of the same run, in whichever attempt: for
    /// receivers that do things once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Arguments with which the tool is to be called, if a policy changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
}

/// The limit that a call would have passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetProblem {
    /// Its name; the unit is in it, such as `cost_micro_usd_per_day`.
    pub limit: String,
    /// Spent.
    pub used: u64,
    /// Promised to calls that are under way.
    pub reserved: u64,
    /// Asked for.
    pub wanted: u64,
    /// Allowed in all.
    pub allowed: u64,
}
