//! Asking whether something may be done, and deciding it: once, and for nothing else.

use std::time::Duration;

use super::{Command, Decision, Effect, Rejection, Run, Status};
use crate::event::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, DeadlineDefault, EventBody, PauseReason,
    RunPaused, RunResumed,
};
use crate::{Digest, Timestamp};

/// Largest number of approvals, and of questions, of one run: its state holds them all.
pub const QUESTION_LIMIT: usize = 1000;

/// The agent asks whether it may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskApproval {
    /// Attempt that asks.
    pub attempt: u32,
    /// Derived from what is asked: the same question has the same id.
    pub approval_id: String,
    /// Action that needs approval.
    pub action: String,
    /// To what.
    pub target: String,
    /// Of exactly what would be done.
    pub digest: Digest,
    /// For the person who decides.
    pub summary: Option<String>,
    /// The step that would do it.
    pub step: Option<String>,
    /// Time limit of the decision; `None`: the agent file's, or none.
    pub timeout: Option<Duration>,
    /// Decision if no person decides in time.
    pub default: DeadlineDefault,
    /// True if the agent ends meanwhile.
    pub park: bool,
}

/// A person decides an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecideApproval {
    /// The approval.
    pub approval_id: String,
    /// The decision.
    pub decision: ApprovalVerdict,
    /// Person who decides.
    pub by: String,
    /// Comment of that person.
    pub comment: Option<String>,
    /// The digest that the person saw; refused if the approval is about another one.
    pub digest: Option<Digest>,
    /// Tells this decision from every other one.
    pub decision_id: Option<String>,
}

impl From<AskApproval> for Command {
    fn from(ask: AskApproval) -> Self {
        Self::AskApproval(ask)
    }
}

impl From<DecideApproval> for Command {
    fn from(decide: DecideApproval) -> Self {
        Self::DecideApproval(decide)
    }
}

impl Run {
    /// Asked again, a question that is open pauses the run again and keeps its deadline; one that
    /// is decided changes nothing.
    pub(super) fn ask_approval(
        &self,
        ask: &AskApproval,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        self.check_attempt(ask.attempt)?;
        let known = self.approvals.get(&ask.approval_id);
        if known.is_some_and(|known| known.verdict.is_some()) {
            return Ok(Decision::NOTHING);
        }
        if known.is_none() && self.approvals.len() >= QUESTION_LIMIT {
            return Err(self.too_many_questions());
        }
        let is_same = |known: &super::Approval| {
            known.attempt == ask.attempt && known.request.park == ask.park
        };
        let mut events = Vec::new();
        if !known.is_some_and(is_same) {
            let deadline = match known {
                Some(known) => known.request.deadline_ms,
                None => ask.timeout.or(self.spec.timeouts.approval).map(|limit| now.plus(limit)),
            };
            events.push(EventBody::ApprovalRequested(ApprovalRequested {
                approval_id: ask.approval_id.clone(),
                action: ask.action.clone(),
                target: ask.target.clone(),
                digest: ask.digest.clone(),
                summary: ask.summary.clone(),
                step: ask.step.clone(),
                deadline_ms: deadline,
                default: ask.default,
                park: ask.park,
            }));
        }
        Ok(Decision::record(self.pausing_for(PauseReason::Approval, events)))
    }

    pub(super) fn decide_approval(
        &self,
        decide: &DecideApproval,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        let Some(approval) = self.approvals.get(&decide.approval_id) else {
            return Err(self.not_asked(&decide.approval_id));
        };
        if let Some(verdict) = &approval.verdict {
            return Err(self.decided(&decide.approval_id, &verdict.decided_by));
        }
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if decide.digest.as_ref().is_some_and(|seen| *seen != approval.request.digest) {
            return Err(Rejection::OtherDigest {
                question: decide.approval_id.clone(),
                digest: approval.request.digest.clone(),
            });
        }
        if approval.request.deadline_ms.is_some_and(|deadline| now >= deadline) {
            return Err(Rejection::Expired { question: decide.approval_id.clone() });
        }
        let decided = EventBody::ApprovalDecided(ApprovalDecided {
            approval_id: decide.approval_id.clone(),
            decision: decide.decision,
            decided_by: decide.by.clone(),
            comment: decide.comment.clone(),
            by_deadline: false,
            decision_id: decide.decision_id.clone(),
        });
        Ok(self.resuming_after(vec![decided], Some(&decide.by), now))
    }

    /// Returns the reason for which the run would wait if it were not held; `None`: everything is
    /// answered.
    pub(super) fn open_question(&self) -> Option<PauseReason> {
        if self.open_approvals().next().is_some() {
            Some(PauseReason::Approval)
        } else if self.open_inputs().next().is_some() {
            Some(PauseReason::Input)
        } else {
            None
        }
    }

    /// The events, followed by the run's pause unless it is paused already, or not begun.
    pub(super) fn pausing_for(
        &self,
        reason: PauseReason,
        mut events: Vec<EventBody>,
    ) -> Vec<EventBody> {
        if matches!(self.status, Status::Pending { .. } | Status::Running { .. }) {
            events.push(EventBody::RunPaused(RunPaused::new(reason, None)));
        }
        events
    }

    /// The events that answer questions, followed by what it means for a run that waited for them:
    /// it goes on if nothing else is open and no operator holds it.
    pub(super) fn resuming_after(
        &self,
        mut events: Vec<EventBody>,
        by: Option<&str>,
        now: Timestamp,
    ) -> Decision {
        let waits = matches!(
            self.status,
            Status::Paused { reason: PauseReason::Approval | PauseReason::Input, .. }
        );
        let open = self.open_approvals().count() + self.open_inputs().count();
        if !waits || open > events.len() {
            return Decision::record(events);
        }
        let by = by.map(str::to_owned);
        events.push(EventBody::RunResumed(RunResumed { by }));
        let decision = Decision::record(events);
        if self.live_attempt().is_some() {
            decision
        } else {
            decision.and(Effect::Dispatch { not_before: now })
        }
    }

    pub(super) fn not_asked(&self, question: &str) -> Rejection {
        Rejection::NotAsked { run_id: self.id.clone(), question: question.to_owned() }
    }

    pub(super) fn decided(&self, question: &str, by: &str) -> Rejection {
        Rejection::Decided {
            run_id: self.id.clone(),
            question: question.to_owned(),
            by: by.to_owned(),
        }
    }

    pub(super) fn too_many_questions(&self) -> Rejection {
        Rejection::TooManyQuestions { run_id: self.id.clone(), limit: QUESTION_LIMIT }
    }
}
