//! Ending a run from outside.
//!
//! A run turns `cancelled` only once nothing of it lives: while an attempt does, the request is
//! recorded, the agent is stopped, and `end_attempt.rs` does the rest.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Decision, Effect, Rejection, Run, Status};
use crate::event::{CancelCause, CancelRequested, EventBody, RunCancelled, RunResumed};

/// Command of a caller: end the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Cause, as it is recorded.
    pub cause: CancelCause,
    /// Name of the caller; `None` for a program.
    pub by: Option<String>,
    /// Time for the agent to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

impl Run {
    pub(super) fn cancel(&self, cancel: &Cancel) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        let request = EventBody::CancelRequested(CancelRequested {
            cause: cancel.cause,
            by: cancel.by.clone(),
            grace: cancel.grace,
        });
        if self.live_attempt().is_none() && self.has_live_children() {
            return Ok(self.cancel_later(request));
        }
        if self.live_attempt().is_none() {
            let cancelled = EventBody::RunCancelled(RunCancelled {
                task: None,
                cause: cancel.cause,
                by: cancel.by.clone(),
                exit_code: None,
                signal: None,
            });
            return Ok(Decision::record(vec![request, cancelled]));
        }
        let stop = Effect::StopAgent { grace: cancel.grace };
        match &self.cancel_requested {
            // The second request of the same kind changes nothing; a shorter grace period does.
            Some(earlier) if earlier.grace <= cancel.grace => Ok(Decision::NOTHING),
            Some(_) | None => Ok(Decision::record(vec![request]).and(stop)),
        }
    }

    /// A coordinator whose worker was lost: its next attempt ends its children, and then itself.
    fn cancel_later(&self, request: EventBody) -> Decision {
        if self.cancel_requested.is_some() {
            return Decision::NOTHING;
        }
        match &self.status {
            Status::Paused { since, .. } => {
                let resumed = EventBody::RunResumed(RunResumed { by: None });
                let not_before = *since;
                Decision::record(vec![request, resumed]).and(Effect::Dispatch { not_before })
            }
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Completed { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => Decision::record(vec![request]),
        }
    }
}
