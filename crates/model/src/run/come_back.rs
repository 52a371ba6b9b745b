//! Restart policy of services: which failures are followed by another attempt, and when.

use std::time::Duration;

use super::end_attempt::requeued;
use super::lose::delay_after;
use super::{AttemptState, Decision, Effect, EndAttempt, Run, Status};
use crate::event::{
    AttemptFailed, EventBody, Failure, RequeueReason, RunFailed, ServiceRestart, StopReason,
};
use crate::{ProcessIdentity, Timestamp};

/// So many attempts in a row may fail soon after they began before `on_failure` gives up: a service
/// that ends its supervisor each time must not go round for ever.
pub const CRASH_LIMIT: u32 = 10;
/// An attempt of a service that lived for so long did not fail soon.
const STEADY: Duration = Duration::from_secs(600);

impl Run {
    /// The restart policy of a service; [`ServiceRestart::No`] for other runs.
    pub fn restart_policy(&self) -> ServiceRestart {
        self.spec.service.as_ref().map(|spec| spec.restart).unwrap_or_default()
    }

    /// Returns true if it is a service that has another attempt after its supervisor is gone.
    pub(super) fn comes_back(&self) -> bool {
        self.restart_policy() != ServiceRestart::No
    }

    /// Returns the supervisor of a service that a signal ended, and that comes back after a boot of
    /// the machine or on request.
    pub fn rests_until_boot(&self) -> Option<&ProcessIdentity> {
        let last = self.attempts.last()?;
        let is_drained = matches!(last.state, AttemptState::Stopped(_, StopReason::Drain))
            && matches!(self.status, Status::Pending { reason: Some(RequeueReason::Drain), .. });
        (is_drained && self.restart_policy() == ServiceRestart::OnFailure)
            .then_some(&last.supervisor)
    }

    /// Decides after a failed attempt of a service: the first one is reported to the caller; later
    /// ones are followed by another as the restart policy says.
    pub(super) fn failed_service(
        &self,
        failure: &Failure,
        end: &EndAttempt,
        now: Timestamp,
    ) -> Decision {
        let failed = EventBody::AttemptFailed(AttemptFailed {
            error: failure.clone(),
            exit_code: end.exit_code,
            signal: end.signal,
            usage: end.usage,
        });
        // It bound its listeners once: what it cannot do now may pass.
        let has_begun = self.started_at.is_some();
        let crashes = self.crashes_in_a_row();
        let gives_up = match self.restart_policy() {
            ServiceRestart::Always => !has_begun,
            ServiceRestart::OnFailure => !has_begun || crashes >= CRASH_LIMIT,
            ServiceRestart::No => true,
        };
        if gives_up {
            let mut error = failure.clone();
            if crashes >= CRASH_LIMIT && has_begun && self.comes_back() {
                error.message = format!("{}; it failed {crashes} times in a row", error.message);
            }
            let (exit_code, signal) = (end.exit_code, end.signal);
            let failed_run = RunFailed { task: None, error, exit_code, signal };
            return Decision::record(vec![failed, EventBody::RunFailed(failed_run)]);
        }
        if self.is_held() {
            // The holder of the run decides when there is another attempt.
            return Decision::record(vec![failed]);
        }
        let not_before = now.plus(delay_after(crashes));
        let requeued = requeued(RequeueReason::Retry, not_before);
        Decision::record(self.unpaused(vec![failed, requeued])).and(Effect::Dispatch { not_before })
    }

    /// Attempts before the last one that failed soon after they began, back to one that did not.
    fn crashes_in_a_row(&self) -> u32 {
        let before_last = self.attempts.iter().rev().skip(1);
        let crashed = before_last.take_while(|attempt| match &attempt.state {
            AttemptState::Failed(end, _) => end.at.since(attempt.started_at) < STEADY,
            AttemptState::Starting(_)
            | AttemptState::Running
            | AttemptState::Exited(_)
            | AttemptState::Stopped(..) => false,
        });
        u32::try_from(crashed.count()).unwrap_or(u32::MAX)
    }
}
