//! Asking whether something may be done, and deciding it: once, and for nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Approval, Decision, Effect, QuestionKind, Rejection, Run, Status};
use crate::event::{
    ApprovalDecided, ApprovalRequested, ApprovalVerdict, DeadlineDefault, EventBody, PauseReason,
    RunPaused, RunResumed,
};
use crate::{Digest, Timestamp};

/// Largest number of approvals, and of questions, of one run: its state holds them all.
pub const QUESTION_LIMIT: usize = 1000;

/// The agent asks whether it may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestApproval {
    /// Attempt that asks.
    pub attempt: u32,
    /// Derived from what is asked: the same question has the same id.
    pub approval_id: String,
    /// Action that needs approval.
    pub action: String,
    /// Target of the action.
    pub target: String,
    /// Digest of the exact action.
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

impl RequestApproval {
    /// Returns the same question of an agent that is ended until it is decided.
    pub fn parked(attempt: u32, asked: ApprovalRequested) -> Self {
        Self {
            attempt,
            approval_id: asked.approval_id,
            action: asked.action,
            target: asked.target,
            digest: asked.digest,
            summary: asked.summary,
            step: asked.step,
            timeout: None,
            default: asked.default,
            park: true,
        }
    }
}

/// Command of a caller: decide an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideApproval {
    /// Id of the approval; `None`: the only one that is open. A stored command always has it.
    pub approval_id: Option<String>,
    /// Decision.
    #[serde(rename = "verdict")]
    pub decision: ApprovalVerdict,
    /// Name of the person.
    pub by: String,
    /// Comment for the agent and the record.
    pub comment: Option<String>,
    /// Digest that the person saw; refused if the approval is about another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Random id that tells this decision from every other one.
    pub decision_id: Option<String>,
}

impl Run {
    /// Asked again, a question that is open pauses the run again and keeps its deadline; one that
    /// is decided changes nothing.
    pub(super) fn ask_approval(
        &self,
        ask: &RequestApproval,
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
        let is_same =
            |known: &Approval| known.attempt == ask.attempt && known.request.park == ask.park;
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
        let request = &self.open_approval(decide.approval_id.as_deref())?.request;
        let id = || request.approval_id.clone();
        if let Some(given) = decide.digest.clone().filter(|given| *given != request.digest) {
            let asked = request.digest.clone();
            return Err(Rejection::OtherDigest { id: id(), asked, given });
        }
        if let Some(at) = request.deadline_ms.filter(|deadline| now >= *deadline) {
            return Err(Rejection::Expired { what: QuestionKind::Approval, id: id(), at });
        }
        let decided = EventBody::ApprovalDecided(ApprovalDecided {
            approval_id: id(),
            decision: decide.decision,
            decided_by: decide.by.clone(),
            comment: decide.comment.clone(),
            by_deadline: false,
            decision_id: decide.decision_id.clone(),
        });
        Ok(self.resuming_after(vec![decided], Some(&decide.by), now))
    }

    /// Returns the open approval that a person means; `id` may be left out where only one is open.
    ///
    /// # Errors
    ///
    /// [`Rejection::NoneAsked`], [`Rejection::NotAsked`], [`Rejection::Several`] if it cannot be
    /// told which is meant; [`Rejection::Decided`], [`Rejection::Expired`], [`Rejection::Terminal`]
    /// if it is not open any more.
    pub fn open_approval(&self, id: Option<&str>) -> Result<&Approval, Rejection> {
        const WHAT: QuestionKind = QuestionKind::Approval;
        let run_id = || self.id.clone();
        if let Some(id) = id {
            let Some(found) = self.approvals.get(id) else {
                return Err(Rejection::NotAsked {
                    run_id: run_id(),
                    what: WHAT,
                    id: id.to_owned(),
                });
            };
            return self.still_open_approval(found);
        }
        let open: Vec<&Approval> = self.open_approvals().collect();
        match open.as_slice() {
            [only] => self.still_open_approval(only),
            [] => {
                self.check_live()?;
                // A person who is late means the approval that was decided last.
                let last =
                    self.approvals.values().max_by_key(|it| it.verdict.as_ref().map(|v| v.at));
                match last {
                    Some(last) => self.still_open_approval(last),
                    None => Err(Rejection::NoneAsked { run_id: run_id(), what: WHAT }),
                }
            }
            several => {
                self.check_live()?;
                let about = |it: &&Approval| {
                    let it = &it.request;
                    format!("  {}  {} on {} ({})", it.approval_id, it.action, it.target, it.digest)
                };
                let open = several.iter().map(about).collect();
                Err(Rejection::Several { run_id: run_id(), what: WHAT, open })
            }
        }
    }

    fn still_open_approval<'r>(&self, found: &'r Approval) -> Result<&'r Approval, Rejection> {
        let (what, id) = (QuestionKind::Approval, found.request.approval_id.clone());
        let Some(verdict) = &found.verdict else {
            self.check_live()?;
            return Ok(found);
        };
        if verdict.by_deadline {
            return Err(Rejection::Expired { what, id, at: verdict.at });
        }
        let decision = match verdict.decision {
            ApprovalVerdict::Approve => "approved",
            ApprovalVerdict::Reject => "rejected",
        };
        let (by, at) = (verdict.decided_by.clone(), verdict.at);
        Err(Rejection::Decided { what, id, decision, by, at })
    }

    /// Returns the reason for which the run would wait if it were not held; `None` if everything is
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

    pub(super) fn too_many_questions(&self) -> Rejection {
        Rejection::TooManyQuestions { run_id: self.id.clone(), limit: QUESTION_LIMIT }
    }
}
