//! Questions to a person: approvals and inputs.
//!
//! Both are long polls: the call answers once somebody decided, or after `wait_ms` without a
//! decision, and is then asked again. The same question gets the same id and the same answer, in
//! whichever attempt it is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /agent/v1/approvals`. The same question (`key`, or step, action, target and digest),
/// asked again, gets the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Without one, errand computes it from action, target and summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The step for which it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What tells this question from others of the run with the same action, target and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long a person has to decide; by default what the agent file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What counts if nobody decides in time; by default `reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ApprovalDefault>,
    /// Whether the process ends meanwhile, and another attempt goes on when it is decided.
    #[serde(default)]
    pub park: bool,
    /// How long this call may wait for a decision; by default, and at most, what
    /// [`super::limit`] says. 0: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
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

/// What counts if nobody decides in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDefault {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
    /// End the run.
    Cancel,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalAnswer {
    /// The approval's id.
    pub approval_id: String,
    /// `null`: not decided yet; ask again, or exit with code 75 if parked.
    pub decision: Option<ApprovalDecision>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// What that person added.
    pub comment: Option<String>,
    /// Whether nobody decided in time, and the default counts.
    #[serde(default)]
    pub by_deadline: bool,
    /// The digest that the decision covers.
    pub digest: String,
    /// Whether the run is parked: exit with code 75, and the decision starts the next attempt.
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
    /// What tells this question from others of the run with the same prompt and schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long a person has to answer; by default what the agent file says, or for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether the process ends meanwhile, and another attempt goes on when it is answered.
    #[serde(default)]
    pub park: bool,
    /// How long this call may wait for an answer; by default, and at most, what
    /// [`super::limit`] says. 0: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// How a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputStatus {
    /// Nobody answered yet: ask again.
    Waiting,
    /// Nobody answered yet, and the run is parked: exit with code 75, and the answer starts the
    /// next attempt.
    Parked,
    /// There is an answer.
    Answered,
    /// Nobody answered in time, and nobody can any more.
    Expired,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputAnswer {
    /// The question's id.
    pub input_id: String,
    /// How the question stands.
    pub status: InputStatus,
    /// The answer.
    pub answer: Option<Value>,
    /// Who answered.
    pub answered_by: Option<String>,
}
