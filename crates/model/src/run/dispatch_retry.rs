//! Retries of the way to a dispatcher, which are counted apart from failures of the agent.

use super::{AttemptState, Run, RunAttempt};
use crate::error_code::ErrorCode;
use crate::failure::Failure;
use crate::retry::DispatchRetry;

impl Run {
    /// Returns the bounds for a failure of the live attempt that happened on the way to a dispatcher, and
    /// the number of such failures in a row, this one included. `None` for any other failure.
    pub(super) fn dispatch_failure(&self, failure: &Failure) -> Option<(&DispatchRetry, u32)> {
        let policy = self.spec.retry.dispatch.as_ref()?;
        let live = self.attempts.last()?;
        if !happened_on_the_way(live, failure) {
            return None;
        }
        let earlier = self.attempts.iter().rev().skip(1);
        let in_a_row = earlier.take_while(|attempt| failed_on_the_way(attempt)).count();
        Some((policy, u32::try_from(in_a_row).unwrap_or(u32::MAX).saturating_add(1)))
    }

    /// Returns the number of attempts that failed on the way to a dispatcher.
    pub(super) fn dispatch_failures(&self) -> u32 {
        if self.spec.retry.dispatch.is_none() {
            return 0;
        }
        let failed = self.attempts.iter().filter(|attempt| failed_on_the_way(attempt)).count();
        u32::try_from(failed).unwrap_or(u32::MAX)
    }
}

fn failed_on_the_way(attempt: &RunAttempt) -> bool {
    match &attempt.state {
        AttemptState::Failed(_, failure) => happened_on_the_way(attempt, failure),
        AttemptState::Starting(_)
        | AttemptState::Running
        | AttemptState::Exited(_)
        | AttemptState::Stopped(..) => false,
    }
}

/// Returns true if a dispatcher did not answer, or the process that was about to send the task died.
fn happened_on_the_way(attempt: &RunAttempt, failure: &Failure) -> bool {
    let Some(code) = failure.code.known() else { return false };
    DispatchRetry::applies_to(code) || (code == ErrorCode::HelperDied && attempt.setup.is_none())
}
