//! An agent that ends while it waits for a person: the run stays paused, without a process.

use super::end_attempt::{requeued, stopped};
use super::{Decision, Effect, EndAttempt, Run, Status};
use crate::Timestamp;
use crate::event::{EventBody, RequeueReason, RunPaused, StopReason};

/// Exit code of an agent that parked (`EX_TEMPFAIL` of sysexits).
pub const PARKED_EXIT_CODE: i32 = 75;

impl Run {
    /// Returns true if the attempt ended as a parked agent does.
    pub(super) fn parks(&self, end: &EndAttempt) -> bool {
        let asked = |park: bool, attempt: u32| park && attempt == end.attempt;
        end.exit_code == Some(PARKED_EXIT_CODE)
            && (self.approvals.values().any(|open| asked(open.request.park, open.attempt))
                || self.inputs.values().any(|open| asked(open.request.park, open.attempt)))
    }

    pub(super) fn park(&self, end: &EndAttempt, now: Timestamp) -> Decision {
        let mut events = vec![stopped(StopReason::Park, end)];
        let waits_for = self.open_question();
        match (&self.status, waits_for) {
            (Status::Paused { .. }, _) => Decision::record(events),
            (_, Some(reason)) => {
                events.push(EventBody::RunPaused(RunPaused::new(reason, None)));
                Decision::record(events)
            }
            // The question was answered before the agent was gone.
            (_, None) => {
                events.push(requeued(RequeueReason::Resume, now));
                Decision::record(events).and(Effect::Dispatch { not_before: now })
            }
        }
    }
}
