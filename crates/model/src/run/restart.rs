//! Beginning a new attempt of a run that lives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Decision, Effect, Rejection, Run};
use crate::Timestamp;
use crate::event::{EventBody, RestartRequested, RunResumed};

/// Command of a caller: stop the current attempt and begin another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Name of the caller; `None` for a program.
    pub by: Option<String>,
    /// Time for the agent to end by itself; zero kills it at once.
    #[serde(rename = "grace_period_ms", with = "crate::millis")]
    pub grace: Duration,
}

impl Run {
    pub(super) fn restart(&self, restart: &Restart, now: Timestamp) -> Result<Decision, Rejection> {
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if self.cancel_requested.is_some() {
            return Err(self.not_now("restart, since it is being stopped"));
        }
        if self.is_at_rest() {
            // Whatever it waits for, it asks again.
            let resumed = RunResumed { by: restart.by.clone() };
            return Ok(Decision::record(vec![EventBody::RunResumed(resumed)])
                .and(Effect::Dispatch { not_before: now }));
        }
        if self.live_attempt().is_none() {
            // The next attempt is on its way as it is.
            return Ok(Decision::NOTHING);
        }
        if self.coordination.is_some() {
            return Err(self.not_now("restart: its agents have runs of their own, restart those"));
        }
        let stop = Effect::StopAgent { grace: restart.grace };
        match &self.restart_requested {
            // Two restarts at once give one new attempt.
            Some(earlier) if earlier.grace <= restart.grace => Ok(Decision::NOTHING),
            Some(_) | None => {
                let request = RestartRequested { by: restart.by.clone(), grace: restart.grace };
                Ok(Decision::record(vec![EventBody::RestartRequested(request)]).and(stop))
            }
        }
    }
}
