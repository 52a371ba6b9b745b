//! Return of a claimed run before an attempt began.

use super::end_attempt::requeued;
use super::{Decision, Effect, Rejection, Run, Status};
use crate::Timestamp;
use crate::event::RequeueReason;

/// Give the run back to be claimed by another; only for runs that any worker may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandBack {
    /// Not to be claimed before; never earlier than its next attempt is due.
    pub not_before: Timestamp,
}

impl Run {
    pub(super) fn hand_back(&self, back: HandBack) -> Result<Decision, Rejection> {
        match &self.status {
            Status::Pending { not_before, .. }
                if self.spec.placement.is_some() && self.live_attempt().is_none() =>
            {
                let not_before = back.not_before.max(*not_before);
                let events = vec![requeued(RequeueReason::Drain, not_before)];
                Ok(Decision::record(events).and(Effect::Dispatch { not_before }))
            }
            Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
                Err(self.not_now("be given back"))
            }
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }
}
