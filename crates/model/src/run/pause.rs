//! Holding a run, and letting it go on.
//!
//! A run that waits for a person (`approve.rs`, `input.rs`) may be held beside: it goes on once the
//! hold is gone and everything is answered.

use super::{Command, Decision, Denied, Effect, Rejection, Run, Status};
use crate::Timestamp;
use crate::event::{EventBody, PauseReason, RunPaused, RunResumed};

/// Hold the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Reason for the pause.
    pub reason: PauseReason,
    /// Person or client that asks, if any.
    pub by: Option<String>,
}

/// Let a held run go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Person or client that asks, if any.
    pub by: Option<String>,
}

impl From<Pause> for Command {
    fn from(pause: Pause) -> Self {
        Self::Pause(pause)
    }
}

impl From<Resume> for Command {
    fn from(resume: Resume) -> Self {
        Self::Resume(resume)
    }
}

impl Run {
    pub(super) fn pause(&self, pause: &Pause) -> Result<Decision, Rejection> {
        match self.status {
            Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. } => {
                Ok(Decision::NOTHING)
            }
            Status::Paused { reason, .. } if reason == pause.reason => Ok(Decision::NOTHING),
            Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
                let event = RunPaused::new(pause.reason, pause.by.clone());
                let decision = Decision::record(vec![EventBody::RunPaused(event)]);
                let is_hold = matches!(pause.reason, PauseReason::Operator | PauseReason::Budget);
                let freezes = is_hold && self.live_attempt().is_some();
                Ok(if freezes { decision.and(Effect::FreezeAgent) } else { decision })
            }
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }

    pub(super) fn resume(&self, resume: &Resume, now: Timestamp) -> Result<Decision, Rejection> {
        match self.status {
            Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. } => {
                if let Some(spent) = self.still_spent(now) {
                    let Denied { limit, used, allowed } = spent;
                    let run_id = self.id.clone();
                    return Err(Rejection::BudgetSpent { run_id, limit, used, allowed });
                }
                Ok(self.let_go(resume, now))
            }
            // A coordinator only waits with its agents.
            Status::Paused { reason: PauseReason::Secret, .. } if self.coordination.is_some() => {
                Ok(Decision::NOTHING)
            }
            Status::Paused { reason: PauseReason::Secret, .. } => {
                let resumed = EventBody::RunResumed(RunResumed { by: resume.by.clone() });
                Ok(Decision::record(vec![resumed]).and(Effect::Dispatch { not_before: now }))
            }
            Status::Paused { .. } => Err(self.not_now("resume: it waits for an answer")),
            Status::Pending { .. } | Status::Running { .. } => Err(self.not_now("resume")),
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }

    /// Without the hold: it goes on, or waits for what is still open.
    fn let_go(&self, resume: &Resume, now: Timestamp) -> Decision {
        let is_live = self.live_attempt().is_some();
        let waits_for = self.open_question();
        let by = resume.by.clone();
        let event = match waits_for {
            Some(reason) => EventBody::RunPaused(RunPaused::new(reason, by)),
            None => EventBody::RunResumed(RunResumed { by }),
        };
        let decision = Decision::record(vec![event]);
        if is_live {
            decision.and(Effect::ThawAgent)
        } else if waits_for.is_none() {
            decision.and(Effect::Dispatch { not_before: now })
        } else {
            decision
        }
    }
}
