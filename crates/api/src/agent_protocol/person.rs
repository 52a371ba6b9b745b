//! Questions to a person. Not available yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/approvals`. The same question, asked again, gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskApproval {
    /// What would be done.
    pub action: String,
    /// To what.
    pub target: String,
    /// For the person who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The digest (`sha256:…`) of exactly what would be done: the decision covers nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long to wait for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What counts if nobody decides in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ApprovalDecision>,
    /// Whether the process ends meanwhile, and another attempt goes on when it is decided.
    #[serde(default)]
    pub park: bool,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDecision {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalAnswer {
    /// The approval's id.
    pub approval_id: String,
    /// `null`: not decided yet; ask again, or exit if parked.
    pub decision: Option<ApprovalDecision>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// What that person added.
    pub comment: Option<String>,
}

/// `POST /agent/v1/inputs`. The same question, asked again, gets the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskInput {
    /// The question.
    pub prompt: String,
    /// A JSON Schema (2020-12) that the answer must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// How long to wait for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether the process ends meanwhile, and another attempt goes on when it is answered.
    #[serde(default)]
    pub park: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputAnswer {
    /// The question's id.
    pub input_id: String,
    /// Whether it is answered; if not: ask again, or exit if parked.
    pub answered: bool,
    /// The answer.
    pub answer: Option<Value>,
}
