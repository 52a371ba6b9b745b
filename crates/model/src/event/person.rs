//! Events about questions to people: approvals and inputs.

use schemars::JsonSchema;
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
    /// Action that needs approval.
    pub action: String,
    /// Target of the action.
    pub target: String,
    /// Digest of the exact action: the decision covers nothing else.
    pub digest: Digest,
    /// For the person who decides.
    pub summary: Option<String>,
    /// The step that would do it, where the agent said.
    pub step: Option<String>,
    /// Deadline after which `default` applies; `None`: never.
    pub deadline_ms: Option<Timestamp>,
    /// Decision if no person decides in time.
    pub default: DeadlineDefault,
    /// True if the agent ends meanwhile, and another attempt continues after the decision.
    pub park: bool,
}

/// Decision of an approval if no person decides in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ApprovalDefault")]
pub enum DeadlineDefault {
    /// Approved.
    Approve,
    /// Rejected.
    #[default]
    Reject,
    /// The run is cancelled.
    Cancel,
}

/// Decision of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Verdict")]
pub enum ApprovalVerdict {
    /// Approved.
    Approve,
    /// Rejected.
    Reject,
}

/// `approval.decided`: once per approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// The approval.
    pub approval_id: String,
    /// The decision.
    pub decision: ApprovalVerdict,
    /// Person who decided; `deadline` if none did in time.
    pub decided_by: String,
    /// Comment of that person.
    pub comment: Option<String>,
    /// True if the deadline decided, and no person.
    pub by_deadline: bool,
    /// Id of the decision, by which its author knows that it counted.
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
    /// Deadline for answers; `None`: never.
    pub deadline_ms: Option<Timestamp>,
    /// True if the agent ends meanwhile, and another attempt continues after the answer.
    pub park: bool,
}

/// `input.provided`: once per question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputProvided {
    /// The question.
    pub input_id: String,
    /// The answer.
    pub answer: Payload,
    /// Person who answered.
    pub provided_by: String,
    /// Id of the answer, by which its author knows that it counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
}

/// `input.expired`: no person answered in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputExpired {
    /// The question.
    pub input_id: String,
}
