//! Events about questions to people: approvals and inputs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Payload, Timestamp};

/// `approval.requested`: the agent asks whether it may do something.
///
/// Asked again in a later attempt, or with `park`, it is the same approval with the same deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequested {
    /// Unique in the run; derived from what is asked, so that the same question has the same id.
    pub approval_id: String,
    /// What would be done.
    pub action: String,
    /// To what.
    pub target: String,
    /// Of exactly what would be done: the decision covers nothing else.
    pub digest: Digest,
    /// For the person who decides.
    pub summary: Option<String>,
    /// The step that would do it, where the agent said.
    pub step: Option<String>,
    /// When `default` counts; `None`: never.
    pub deadline_ms: Option<Timestamp>,
    /// What counts if nobody decides in time.
    pub default: DeadlineDefault,
    /// Whether the agent ends meanwhile, and another attempt goes on when it is decided.
    pub park: bool,
}

/// What counts if nobody decides an approval in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineDefault {
    /// It may be done.
    Approve,
    /// It may not.
    #[default]
    Reject,
    /// The run is cancelled.
    Cancel,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalVerdict {
    /// It may be done.
    Approve,
    /// It may not.
    Reject,
}

/// `approval.decided`: once per approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// Which approval.
    pub approval_id: String,
    /// What was decided.
    pub decision: ApprovalVerdict,
    /// Who decided; `deadline` if nobody did in time.
    pub decided_by: String,
    /// What that person added.
    pub comment: Option<String>,
    /// Whether the deadline decided, and no person.
    pub by_deadline: bool,
    /// Tells this one from every other, so that whoever made it knows that it counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
}

/// `input.requested`: the agent asks a question. Asked again, it is the same question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRequested {
    /// Unique in the run; derived from what is asked.
    pub input_id: String,
    /// The question.
    pub prompt: String,
    /// A JSON Schema (2020-12) that the answer satisfies.
    pub schema: Option<Value>,
    /// The step that needs it, where the agent said.
    pub step: Option<String>,
    /// After that nobody can answer any more; `None`: never.
    pub deadline_ms: Option<Timestamp>,
    /// Whether the agent ends meanwhile, and another attempt goes on when it is answered.
    pub park: bool,
}

/// `input.provided`: once per question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputProvided {
    /// Which question.
    pub input_id: String,
    /// The answer.
    pub answer: Payload,
    /// Who gave it.
    pub provided_by: String,
    /// Tells this one from every other, so that whoever made it knows that it counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
}

/// `input.expired`: nobody answered in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputExpired {
    /// Which question.
    pub input_id: String,
}
