//! Questions of a task's agent to people, and their answers.

use errand_model::event::{ApprovalVerdict, PauseReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{RecordApproval, RecordInput, RunRecord};

/// Questions of a task's agent, open and settled ones, each list with the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskQuestions {
    /// Approvals that the agent asked for.
    #[serde(default)]
    pub approvals: Vec<RecordApproval>,
    /// Questions for input.
    #[serde(default)]
    pub inputs: Vec<RecordInput>,
}

impl TaskQuestions {
    /// Returns true if the agent asked nothing.
    pub const fn is_empty(&self) -> bool {
        self.approvals.is_empty() && self.inputs.is_empty()
    }

    pub(super) fn of(record: &RunRecord) -> Self {
        Self { approvals: record.approvals.clone(), inputs: record.inputs.clone() }
    }

    /// Returns for what the task waits: `approval` or `input`; `None` without an open question.
    pub fn waits_for(&self) -> Option<PauseReason> {
        if self.approvals.iter().any(|it| it.status == OPEN) {
            Some(PauseReason::Approval)
        } else if self.inputs.iter().any(|it| it.status == OPEN) {
            Some(PauseReason::Input)
        } else {
            None
        }
    }

    /// Returns true if the question that a decision is about is open.
    pub fn awaits(&self, decision: &TaskDecision) -> bool {
        let is_open = |id: &str, status: &str, asked: &Option<String>| {
            status == OPEN && asked.as_deref() == Some(id)
        };
        self.approvals.iter().any(|it| is_open(&it.approval_id, &it.status, &decision.approval_id))
            || self.inputs.iter().any(|it| is_open(&it.input_id, &it.status, &decision.input_id))
    }
}

/// Word for a question that is not settled.
const OPEN: &str = "open";

/// Decision of an approval, or answer to a question, of a task's agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskDecision {
    /// Id of this decision, chosen by the sender: sent again, it changes nothing.
    #[schemars(length(min = 1, max = 128))]
    pub decision_id: String,
    /// Approval that is decided, with `decision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-nullable" = true))]
    pub approval_id: Option<String>,
    /// The decision of the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    pub decision: Option<ApprovalVerdict>,
    /// A word about the decision for the agent and the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), extend("x-nullable" = true))]
    pub comment: Option<String>,
    /// Question that is answered, with `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-nullable" = true))]
    pub input_id: Option<String>,
    /// The answer; it fits the schema of the question.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(extend("x-nullable" = true))]
    pub answer: Value,
    /// Person who decides or answers, beside the key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), extend("x-nullable" = true))]
    pub by: Option<String>,
}
