//! Questions of agents to people.

use errand_model::event::ApprovalVerdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use crate::error_code::ErrorCode;
use crate::question::QuestionList;

/// Errors of a decision.
const UNDECIDABLE: &[ErrorCode] = &[
    ErrorCode::RunNotFound,
    ErrorCode::QuestionNotFound,
    ErrorCode::QuestionAmbiguous,
    ErrorCode::QuestionDecided,
    ErrorCode::QuestionExpired,
    ErrorCode::DigestMismatch,
    ErrorCode::AnswerInvalid,
    ErrorCode::RunNotLive,
];

/// Routes of questions to people.
pub const AREA: Area = Area {
    name: "people",
    says: "Approvals and questions that agents ask people.",
    routes: &[
        Route::new("list_approvals", Method::Get, "/v1/approvals", KeyScope::RunsRead)
            .says("Lists what people are asked, across all runs, oldest first.")
            .query::<QuestionQuery>()
            .answers(&[Answer::json::<QuestionList>(200, "Approvals and questions.")]),
        Route::new(
            "decide_approval",
            Method::Post,
            "/v1/runs/{run_id}/approvals/{approval_id}",
            KeyScope::ApprovalsDecide,
        )
        .says("Decides an approval, once.")
        .takes(Body::json::<DecideApprovalBody>())
        .answers(&[Answer::json::<Decided>(200, "The decision is durable, and the run goes on.")])
        .errors(UNDECIDABLE),
        Route::new(
            "decide_only_approval",
            Method::Post,
            "/v1/runs/{run_id}/approvals",
            KeyScope::ApprovalsDecide,
        )
        .says("Decides the only open approval of a run.")
        .takes(Body::json::<DecideApprovalBody>())
        .answers(&[Answer::json::<Decided>(200, "The decision is durable, and the run goes on.")])
        .errors(UNDECIDABLE),
        Route::new(
            "provide_input",
            Method::Post,
            "/v1/runs/{run_id}/input",
            KeyScope::ApprovalsDecide,
        )
        .says("Answers what a run asks.")
        .takes(Body::json::<ProvideInputBody>())
        .answers(&[Answer::json::<Provided>(200, "The answer is durable, and the run goes on.")])
        .errors(UNDECIDABLE),
    ],
};

/// Selection of questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionQuery {
    /// True to include decided, answered and expired ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// The decision about what an agent wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DecideApproval")]
pub struct DecideApprovalBody {
    /// The decision.
    pub decision: ApprovalVerdict,
    /// A word for the agent and the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub comment: Option<String>,
    /// Decide only if this is the digest of what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// Person who decides, beside the key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub by: Option<String>,
}

/// A decision that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// Id of the run.
    pub run_id: String,
    /// Id of the approval.
    pub approval_id: String,
    /// The decision.
    pub decision: ApprovalVerdict,
    /// Person who decided, as in the record.
    pub decided_by: String,
    /// Comment of that person.
    pub comment: Option<String>,
}

/// The answer to what an agent asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProvideInput")]
pub struct ProvideInputBody {
    /// The question: required if the run asks several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<String>,
    /// The answer; it fits the schema of the question.
    #[schemars(extend("x-nullable" = true))]
    pub answer: Value,
    /// Person who answers, beside the key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub by: Option<String>,
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provided {
    /// Id of the run.
    pub run_id: String,
    /// Id of the question.
    pub input_id: String,
    /// Person who answered, as in the record.
    pub answered_by: String,
}
