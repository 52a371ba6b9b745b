//! Releasing a run that an operator or its budget holds, or that waits for secrets.

use serde::{Deserialize, Serialize};

use super::{Decision, DeniedCall, Effect, Rejection, Run, Status};
use crate::Timestamp;
use crate::event::{EventBody, PauseReason, RunPaused, RunResumed};

/// Command of a caller: release a held run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Name of the caller; `None` for a program.
    pub by: Option<String>,
}

impl Run {
    pub(super) fn resume(&self, resume: &Resume, now: Timestamp) -> Result<Decision, Rejection> {
        match self.status {
            Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. } => {
                if let Some(spent) = self.still_spent(now) {
                    let DeniedCall { limit, used, allowed } = spent;
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
            Status::Paused { .. } | Status::Pending { .. } | Status::Running { .. } => {
                let (run_id, status) = (self.id.clone(), self.status.name());
                Err(Rejection::NotPaused { run_id, status })
            }
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }

    /// Ends the hold: the run continues, or waits for the questions that are still open.
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
