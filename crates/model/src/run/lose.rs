//! The supervisor of a run is gone: what whoever found out records.

use super::end_attempt::cancelled;
use super::{Command, Decision, Effect, EndAttempt, Outcome, Rejection, Run, Status};
use crate::Timestamp;
use crate::event::{
    AttemptStopped, CancelCause, EventBody, Failure, ProcessUsage, RequeueReason, RunFailed,
    RunKind, StopReason,
};

/// Nobody supervises the run any more, and no process of it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lose {
    /// Who found out and took the lease: its number, above the lost one's.
    pub epoch: u64,
}

impl From<Lose> for Command {
    fn from(lose: Lose) -> Self {
        Self::Lose(lose)
    }
}

impl Run {
    pub(super) fn lose(&self, lose: &Lose, now: Timestamp) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if lose.epoch <= self.epoch {
            return Err(Rejection::Fenced {
                run_id: self.id.clone(),
                epoch: lose.epoch,
                current: self.epoch,
            });
        }
        let Some(live) = self.live_attempt() else { return Ok(self.never_begun(lose.epoch, now)) };
        let end = EndAttempt {
            attempt: live.number,
            outcome: Outcome::Drained,
            exit_code: None,
            signal: None,
            usage: ProcessUsage { wall: now.since(live.started_at), ..ProcessUsage::default() },
        };
        let cancel = match &self.cancel_requested {
            Some(request) => Some((request.cause, request.by.clone())),
            None if self.spec.kind == RunKind::Service => Some((CancelCause::SupervisorGone, None)),
            None => None,
        };
        if let Some((cause, by)) = cancel {
            let stopped = EventBody::AttemptStopped(AttemptStopped {
                reason: StopReason::Cancel,
                exit_code: None,
                signal: None,
                usage: end.usage,
            });
            return Ok(Decision::record(vec![stopped, cancelled(cause, by, &end)]));
        }
        let failure = failure("helper_died", "the supervising process died without a report");
        let mut decision = self.failed_attempt(&failure, &end, now);
        for event in &mut decision.events {
            if let EventBody::RunRequeued(requeued) = event {
                requeued.reason = RequeueReason::WorkerLost;
            }
        }
        Ok(decision)
    }

    /// No attempt lives: either nobody ever took the run, or whoever waited to retry it died.
    fn never_begun(&self, epoch: u64, now: Timestamp) -> Decision {
        if let Some(request) = &self.cancel_requested {
            let end = EndAttempt {
                attempt: 0,
                outcome: Outcome::Drained,
                exit_code: None,
                signal: None,
                usage: ProcessUsage::default(),
            };
            let cancelled = cancelled(request.cause, request.by.clone(), &end);
            return Decision::record(vec![cancelled]);
        }
        if matches!(self.status, Status::Paused { .. }) {
            // It rests: a person lets it go on.
            return Decision::NOTHING;
        }
        // Somebody held it before whoever found out: it waited for its turn, and nothing is lost.
        let has_waited = self.spec.session_turn.is_some() && self.spec.detached && epoch > 1;
        if !self.attempts.is_empty() || has_waited {
            return Decision::NOTHING.and(Effect::Dispatch { not_before: now });
        }
        let error =
            failure("launcher_died", "the process that admitted the run died before it began");
        let failed = RunFailed { error, exit_code: None, signal: None };
        Decision::record(vec![EventBody::RunFailed(failed)])
    }
}

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), step: None, retryable: None }
}
