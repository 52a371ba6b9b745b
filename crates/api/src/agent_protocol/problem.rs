//! Refusal of a call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `application/problem+json` (RFC 9457) with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct AgentApiProblem {
    /// `urn:errand:error:<code>`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The words of the status code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Code for programs: a [`crate::error_code::ErrorCode`] of the version that answers. `errand
    /// explain <code>` describes it.
    pub code: String,
    /// Description of this case.
    pub detail: String,
    /// Advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `budget_exceeded`: which limit, and how it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<super::BudgetProblem>,
}

impl AgentApiProblem {
    /// The media type of this document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// The value of `type` for a code.
    pub fn type_uri(code: &str) -> String {
        format!("urn:errand:error:{code}")
    }
}
