//! Working time of a run's agent: its processes' time, while the run is not paused.

use super::{AttemptState, Run, Status};
use crate::Timestamp;
use crate::error_code::ErrorCode;
use crate::event::{EventBody, RunKind};

impl Run {
    /// Starts or stops the stopwatch of working time according to the state after `event`.
    pub(super) fn meter_working_time(&mut self, at: Timestamp, event: &EventBody) {
        // A service's supervision is no work of its agent; its wakes are runs of their own, and so
        // are the children of a coordinator.
        let works = self.spec.kind != RunKind::Service
            && self.coordination.is_none()
            && self.attempts.last().is_some_and(|last| last.state == AttemptState::Running)
            && !matches!(self.status, Status::Paused { .. });
        // The time of death of a dead supervisor is unknown: the attempt's latest event is the best
        // estimate.
        let died = if let EventBody::AttemptFailed(failed) = event {
            failed.error.code == ErrorCode::HelperDied
        } else {
            false
        };
        let until = if died { self.budget.watch.heard_ms } else { at };
        self.budget.watch.set(works, until);
        self.budget.watch.heard_ms = at;
    }
}
