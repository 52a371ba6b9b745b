//! Loss of a run's supervisor, as the process that finds it records it.

use std::time::Duration;

use super::end_attempt::{cancelled, requeued};
use super::{AttemptOutcome, Decision, Effect, EndAttempt, LOSS_LIMIT, Rejection, Run, Status};
use crate::Timestamp;
use crate::error_code::ErrorCode;
use crate::event::{
    AttemptFailed, AttemptStopped, CancelCause, EventBody, Failure, ProcessUsage, RequeueReason,
    RunFailed, RunKind, StopReason, TriggerKind,
};

/// Delay after the second loss of a worker; doubles with each further one.
const LOSS_DELAY: Duration = Duration::from_secs(1);
/// No loss holds a run back for longer.
const LOSS_DELAY_LIMIT: Duration = Duration::from_secs(60);

/// The supervisor is dead, and no process of the run is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lose {
    /// Number of the lease that the finder took, above the lost one's.
    pub epoch: u64,
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
            task: None,
            attempt: live.number,
            outcome: AttemptOutcome::Drained,
            exit_code: None,
            signal: None,
            usage: ProcessUsage { wall: now.since(live.started_at), ..ProcessUsage::default() },
        };
        let cancel = match &self.cancel_requested {
            Some(request) => Some((request.cause, request.by.clone())),
            None if self.spec.kind == RunKind::Service && !self.comes_back() => {
                Some((CancelCause::SupervisorGone, None))
            }
            None => None,
        };
        if let Some((cause, by)) = cancel.filter(|_| !self.has_live_children()) {
            let stopped = EventBody::AttemptStopped(AttemptStopped {
                reason: StopReason::Cancel,
                exit_code: None,
                signal: None,
                usage: end.usage,
            });
            return Ok(Decision::record(vec![stopped, cancelled(cause, by, &end)]));
        }
        if self.spec.placement.is_some() || self.coordination.is_some() {
            return Ok(self.worker_lost(&end, now));
        }
        let failure =
            Failure::new(ErrorCode::HelperDied, "the supervising process died without a report");
        if self.spec.kind == RunKind::Service {
            return Ok(for_lost_worker(self.failed_service(&failure, &end, now)));
        }
        Ok(for_lost_worker(self.failed_attempt(&failure, &end, now)))
    }

    /// A run that any worker may claim goes back to where it was claimed from.
    fn worker_lost(&self, end: &EndAttempt, now: Timestamp) -> Decision {
        let failure =
            Failure::new(ErrorCode::LeaseLost, "the worker died, or was out of reach for too long");
        let losses = self.losses();
        // A coordinator ends none of its workers: it is lost between two turns, if ever.
        if losses >= LOSS_LIMIT && self.coordination.is_none() {
            return for_lost_worker(self.failed_attempt(&failure, end, now));
        }
        let failed = EventBody::AttemptFailed(AttemptFailed {
            error: failure,
            exit_code: None,
            signal: None,
            usage: end.usage,
        });
        if self.is_held() {
            // The holder of the run decides when there is another attempt.
            return Decision::record(vec![failed]);
        }
        let not_before = now.plus(delay_after(losses));
        let events = vec![failed, requeued(RequeueReason::WorkerLost, not_before)];
        Decision::record(self.unpaused(events)).and(Effect::Dispatch { not_before })
    }

    /// Decides for a run without a live attempt: it was never taken, or its supervisor died while
    /// it waited to retry.
    fn never_begun(&self, epoch: u64, now: Timestamp) -> Decision {
        if let Some(request) = self.cancel_requested.as_ref().filter(|_| !self.has_live_children())
        {
            let end = EndAttempt {
                task: None,
                attempt: 0,
                outcome: AttemptOutcome::Drained,
                exit_code: None,
                signal: None,
                usage: ProcessUsage::default(),
            };
            let cancelled = cancelled(request.cause, request.by.clone(), &end);
            return Decision::record(vec![cancelled]);
        }
        if matches!(self.status, Status::Paused { .. }) {
            // The run is at rest: a person resumes it.
            return Decision::NOTHING;
        }
        if let (Some(_), Status::Pending { not_before, .. }) = (&self.spec.placement, &self.status)
        {
            let not_before = (*not_before).max(now);
            let events = vec![requeued(RequeueReason::WorkerLost, not_before)];
            return Decision::record(events).and(Effect::Dispatch { not_before });
        }
        // A supervisor held it before the finder: the run waited for its turn, and nothing is lost.
        let has_waited = self.spec.session_turn.is_some() && self.spec.detached && epoch > 1;
        // The run was admitted at the end of the run before it, and the process that was to start
        // it died.
        let is_handed = self.spec.trigger.kind == TriggerKind::Upstream && self.spec.detached;
        if !self.attempts.is_empty() || has_waited || is_handed {
            return Decision::NOTHING.and(Effect::Dispatch { not_before: now });
        }
        let error = Failure::new(
            ErrorCode::LauncherDied,
            "the process that admitted the run died before it began",
        );
        let failed = RunFailed { task: None, error, exit_code: None, signal: None };
        Decision::record(vec![EventBody::RunFailed(failed)])
    }
}

/// Returns the delay of a run that lost `losses` workers before.
pub(super) fn delay_after(losses: u32) -> Duration {
    let Some(doublings) = losses.checked_sub(1) else { return Duration::ZERO };
    // A shift of 32 or more overflows: the cap holds long before that.
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    LOSS_DELAY.saturating_mul(factor).min(LOSS_DELAY_LIMIT)
}

/// Adds to a decision that the run is requeued since its worker is lost.
fn for_lost_worker(mut decision: Decision) -> Decision {
    for event in &mut decision.events {
        if let EventBody::RunRequeued(requeued) = event {
            requeued.reason = RequeueReason::WorkerLost;
        }
    }
    decision
}
