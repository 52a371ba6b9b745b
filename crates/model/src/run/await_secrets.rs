//! Holding of a run whose next attempt would lack secrets that it needs.
//!
//! Secrets are never recorded, so a later attempt has those of the process that starts it. A run
//! that lacks one begins no attempt: it waits until it is resumed.

use super::{Decision, Rejection, Run, Status};
use crate::event::{EventBody, PauseReason, RunPaused};

/// Hold the run until secrets are there. Only between two attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitSecrets {
    /// Their names; at least one.
    pub names: Vec<String>,
}

impl Run {
    pub(super) fn await_secrets(&self, awaited: &AwaitSecrets) -> Result<Decision, Rejection> {
        match &self.status {
            Status::Pending { .. } if self.live_attempt().is_none() => {
                let paused = RunPaused::for_secrets(awaited.names.clone());
                Ok(Decision::record(vec![EventBody::RunPaused(paused)]))
            }
            Status::Paused { reason: PauseReason::Secret, .. } => Ok(Decision::NOTHING),
            Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
                Err(self.not_now("wait for secrets"))
            }
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }
}
