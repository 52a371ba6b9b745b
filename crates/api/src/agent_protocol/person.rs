//! Questions to a person: approvals and inputs.
//!
//! Both are long polls: the call answers after the decision, or after `wait_ms` without one, and is
//! then repeated. The same question gets the same id and the same answer in every attempt.

use errand_model::event::{ApprovalVerdict, DeadlineDefault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/approvals`. The same question (`key`, or step, action, target and digest),
/// asked again, gets the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskApproval {
    /// Action that needs approval.
    pub action: String,
    /// Target of the action.
    pub target: String,
    /// For the person who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The digest (`sha256:…`) of exactly what would be done: the decision covers nothing else.
    /// Without one, errand computes it from action, target and summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The step for which it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Key that distinguishes this question from others of the run with the same action, target and
    /// digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Time limit of the decision; by default the agent file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Decision if no person decides in time; by default `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DeadlineDefault>,
    /// True if the process ends meanwhile, and another attempt continues after the decision.
    #[serde(default)]
    pub park: bool,
    /// Longest wait of this call for a decision; by default, and at most, the value in
    /// [`super::limit`]. 0: no wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalAnswer {
    /// The approval's id.
    pub approval_id: String,
    /// `null`: not decided yet; ask again, or exit with code 75 if parked.
    pub decision: Option<ApprovalVerdict>,
    /// Person who decided.
    pub decided_by: Option<String>,
    /// Comment of that person.
    pub comment: Option<String>,
    /// True if no person decided in time, and the default counts.
    #[serde(default)]
    pub by_deadline: bool,
    /// The digest that the decision covers.
    pub digest: String,
    /// True if the run is parked: exit with code 75, and the decision starts the next attempt.
    #[serde(default)]
    pub parked: bool,
}

/// `POST /agent/v1/inputs`. The same question (`key`, or step, prompt and schema), asked again,
/// gets the same answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskInput {
    /// The question.
    pub prompt: String,
    /// A JSON Schema (2020-12) that the answer must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The step for which it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Key that distinguishes this question from others of the run with the same prompt and schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Time limit of the answer; by default the agent file's, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// True if the process ends meanwhile, and another attempt continues after the answer.
    #[serde(default)]
    pub park: bool,
    /// Longest wait of this call for an answer; by default, and at most, the value in
    /// [`super::limit`]. 0: no wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Status of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputStatus {
    /// Not answered yet: ask again.
    Waiting,
    /// Not answered yet, and the run is parked: exit with code 75, and the answer starts the next
    /// attempt.
    Parked,
    /// There is an answer.
    Answered,
    /// Not answered in time; an answer is no longer possible.
    Expired,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputAnswer {
    /// The question's id.
    pub input_id: String,
    /// Status of the question.
    pub status: InputStatus,
    /// The answer.
    pub answer: Option<Value>,
    /// Person who answered.
    pub answered_by: Option<String>,
}
