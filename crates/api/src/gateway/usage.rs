//! Usage of calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, KeyScope, Method, Route};
use crate::error_code::ErrorCode;
use crate::usage::UsageDocument;

/// Routes of usage sums.
pub const AREA: Area = Area {
    name: "usage",
    says: "Tokens, money, calls and time.",
    routes: &[Route::new("get_usage", Method::Get, "/v1/usage", KeyScope::RunsRead)
        .says("Sums up what calls used.")
        .query::<UsageQuery>()
        .answers(&[Answer::json::<UsageDocument>(200, "Sums, the most expensive first.")])
        .errors(&[ErrorCode::RunNotFound])],
};

/// Selection of sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// A row for each: `run`, `agent`, `model`, `session`, `day`, `step`, `tool` or `label=KEY`;
    /// `agent` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(run|agent|model|session|day|step|tool|label=.+)$"))]
    pub by: Option<String>,
    /// Only from this day on, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    pub since: Option<String>,
    /// Only up to this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    pub until: Option<String>,
    /// Only runs of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9abcdefghjkmnpqrstvwxyz]{20}$"))]
    pub run_id: Option<String>,
}
