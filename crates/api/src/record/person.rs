//! Questions to people in the record, and in lists of them.

use errand_model::event::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, DeadlineDefault, InputRequested,
    PauseReason,
};
use errand_model::run::{Approval, Inquiry, Reply, Run, Status, Verdict};
use errand_model::{Digest, Payload, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::value::{linked_value, payload_value};

/// Pause of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordPause {
    /// `operator`, `approval`, `input`, `budget` or `secret`.
    pub reason: PauseReason,
    /// Since when.
    #[schemars(with = "i64")]
    pub since_ms: Timestamp,
    /// Names of the secrets that the next attempt needs and the process that was to start it lacks;
    /// only where that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl RecordPause {
    pub(super) fn of(status: &Status) -> Option<Self> {
        match status {
            Status::Paused { since, reason, secrets } => {
                Some(Self { reason: *reason, since_ms: *since, secrets: secrets.clone() })
            }
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => None,
        }
    }
}

/// All approvals of a run, oldest first.
pub(super) fn approvals(run: &Run) -> Vec<RecordApproval> {
    let is_over = run.status.is_terminal();
    let record = |approval: &Approval| {
        let open = RecordApproval::open(&approval.request, approval.asked_at);
        match &approval.verdict {
            Some(verdict) => open.decided(&decided(approval, verdict), verdict.at),
            None if is_over => open.closed(),
            None => open,
        }
    };
    let mut all: Vec<_> = run.approvals.values().map(record).collect();
    all.sort_by_key(|approval| approval.requested_at_ms);
    all
}

fn decided(approval: &Approval, verdict: &Verdict) -> ApprovalDecided {
    ApprovalDecided {
        approval_id: approval.request.approval_id.clone(),
        decision: verdict.decision,
        decided_by: verdict.decided_by.clone(),
        comment: verdict.comment.clone(),
        by_deadline: verdict.by_deadline,
        decision_id: verdict.decision_id.clone(),
    }
}

/// All questions of a run, oldest first.
pub(super) fn inputs(run: &Run) -> Vec<RecordInput> {
    let is_over = run.status.is_terminal();
    let record = |inquiry: &Inquiry| {
        let open = RecordInput::open(&inquiry.request, inquiry.asked_at);
        match &inquiry.reply {
            Some(Reply::Provided { answer, by, at, .. }) => {
                let answered = open.answered(answer, by, *at);
                RecordInput { answer: linked_value(&run.id, Some(answer)), ..answered }
            }
            Some(Reply::Expired { at }) => open.expired(*at),
            None if is_over => open.closed(),
            None => open,
        }
    };
    let mut all: Vec<_> = run.inputs.values().map(record).collect();
    all.sort_by_key(|input| input.requested_at_ms);
    all
}

/// An approval that an agent asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordApproval {
    /// Unique in its run.
    pub approval_id: String,
    /// `open`, `approved`, `rejected`; or `closed`: the run ended before anybody decided.
    pub status: String,
    /// Action that needs approval.
    pub action: String,
    /// Target of the action.
    pub target: String,
    /// Digest of the exact action.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// For the person who decides.
    pub summary: Option<String>,
    /// The step for which it is asked.
    pub step: Option<String>,
    /// Time of the first request.
    #[schemars(with = "i64")]
    pub requested_at_ms: Timestamp,
    /// Deadline after which `default` applies, if any.
    #[schemars(with = "Option<i64>")]
    pub deadline_ms: Option<Timestamp>,
    /// Decision if no person decides in time: `approve`, `reject` or `cancel`.
    #[schemars(with = "String")]
    pub default: DeadlineDefault,
    /// True if the agent ends meanwhile.
    pub park: bool,
    /// Person who decided.
    pub decided_by: Option<String>,
    /// Time of the decision.
    #[schemars(with = "Option<i64>")]
    pub decided_at_ms: Option<Timestamp>,
    /// Comment of that person.
    pub comment: Option<String>,
    /// True if the deadline decided, and no person.
    pub by_deadline: bool,
}

impl RecordApproval {
    /// Returns an open approval.
    pub fn open(asked: &ApprovalRequested, at: Timestamp) -> Self {
        Self {
            approval_id: asked.approval_id.clone(),
            status: "open".to_owned(),
            action: asked.action.clone(),
            target: asked.target.clone(),
            digest: asked.digest.clone(),
            summary: asked.summary.clone(),
            step: asked.step.clone(),
            requested_at_ms: at,
            deadline_ms: asked.deadline_ms,
            default: asked.default,
            park: asked.park,
            decided_by: None,
            decided_at_ms: None,
            comment: None,
            by_deadline: false,
        }
    }

    /// Returns the approval as decided.
    #[must_use]
    pub fn decided(self, decided: &ApprovalDecided, at: Timestamp) -> Self {
        let status = match decided.decision {
            ApprovalVerdict::Approve => "approved",
            ApprovalVerdict::Reject => "rejected",
        };
        Self {
            status: status.to_owned(),
            decided_by: Some(decided.decided_by.clone()),
            decided_at_ms: Some(at),
            comment: decided.comment.clone(),
            by_deadline: decided.by_deadline,
            ..self
        }
    }

    /// Returns the approval of a run that ended before a decision.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { status: "closed".to_owned(), ..self }
    }
}

/// A question that an agent asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordInput {
    /// Unique in its run.
    pub input_id: String,
    /// `open`, `answered`, `expired`; or `closed`: the run ended before anybody answered.
    pub status: String,
    /// The question.
    pub prompt: String,
    /// The JSON Schema that the answer satisfies.
    pub schema: Option<Value>,
    /// The step for which it is asked.
    pub step: Option<String>,
    /// Time of the first request.
    #[schemars(with = "i64")]
    pub requested_at_ms: Timestamp,
    /// Deadline for answers.
    #[schemars(with = "Option<i64>")]
    pub deadline_ms: Option<Timestamp>,
    /// True if the agent ends meanwhile.
    pub park: bool,
    /// The answer.
    pub answer: Value,
    /// Person who answered.
    pub answered_by: Option<String>,
    /// Time of the answer or expiry.
    #[schemars(with = "Option<i64>")]
    pub answered_at_ms: Option<Timestamp>,
}

impl RecordInput {
    /// Returns an open question.
    pub fn open(asked: &InputRequested, at: Timestamp) -> Self {
        Self {
            input_id: asked.input_id.clone(),
            status: "open".to_owned(),
            prompt: asked.prompt.clone(),
            schema: asked.schema.clone(),
            step: asked.step.clone(),
            requested_at_ms: at,
            deadline_ms: asked.deadline_ms,
            park: asked.park,
            answer: Value::Null,
            answered_by: None,
            answered_at_ms: None,
        }
    }

    /// Returns the question as answered.
    #[must_use]
    pub fn answered(self, answer: &Payload, by: &str, at: Timestamp) -> Self {
        Self {
            status: "answered".to_owned(),
            answer: payload_value(Some(answer)),
            answered_by: Some(by.to_owned()),
            answered_at_ms: Some(at),
            ..self
        }
    }

    /// Returns the question as expired.
    #[must_use]
    pub fn expired(self, at: Timestamp) -> Self {
        Self { status: "expired".to_owned(), answered_at_ms: Some(at), ..self }
    }

    /// Returns the question of a run that ended before an answer.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { status: "closed".to_owned(), ..self }
    }
}
