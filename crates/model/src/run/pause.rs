//! Holding a run.
//!
//! A run that waits for a person (`approve.rs`, `input.rs`) may be held as well: it continues once
//! it is resumed and everything is answered.

use serde::{Deserialize, Serialize};

use super::{Decision, Effect, Rejection, Run, Status};
use crate::event::{EventBody, PauseReason, RunPaused};

/// Command of a caller: hold the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Reason, as it is recorded; `operator` unless said.
    #[serde(default = "operator", skip_serializing_if = "is_operator")]
    pub reason: PauseReason,
    /// Name of the caller; `None` for a program.
    pub by: Option<String>,
}

impl Pause {
    /// Pauses for an operator.
    pub const fn by_operator(by: Option<String>) -> Self {
        Self { reason: PauseReason::Operator, by }
    }
}

const fn operator() -> PauseReason {
    PauseReason::Operator
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_operator(reason: &PauseReason) -> bool {
    *reason == PauseReason::Operator
}

impl Run {
    pub(super) fn pause(&self, pause: &Pause) -> Result<Decision, Rejection> {
        match self.status {
            Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. } => {
                Ok(Decision::NOTHING)
            }
            Status::Paused { reason, .. } if reason == pause.reason => Ok(Decision::NOTHING),
            Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
                let event = RunPaused::new(pause.reason, pause.by.clone());
                let decision = Decision::record(vec![EventBody::RunPaused(event)]);
                let is_hold = matches!(pause.reason, PauseReason::Operator | PauseReason::Budget);
                let freezes = is_hold && self.live_attempt().is_some();
                Ok(if freezes { decision.and(Effect::FreezeAgent) } else { decision })
            }
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }
}
