//! Holding a run, and letting it go on.

use super::{Command, Decision, Effect, Rejection, Run, Status};
use crate::Timestamp;
use crate::event::{EventBody, PauseReason, RunPaused, RunResumed};

/// Hold the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What it waits for.
    pub reason: PauseReason,
    /// Who asks, if somebody does.
    pub by: Option<String>,
}

/// Let a paused run go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Who asks, if somebody does.
    pub by: Option<String>,
}

impl From<Pause> for Command {
    fn from(pause: Pause) -> Self {
        Self::Pause(pause)
    }
}

impl From<Resume> for Command {
    fn from(resume: Resume) -> Self {
        Self::Resume(resume)
    }
}

impl Run {
    pub(super) fn pause(&self, pause: &Pause) -> Result<Decision, Rejection> {
        match self.status {
            Status::Pending { .. } | Status::Running { .. } => {
                let event = RunPaused { reason: pause.reason, by: pause.by.clone() };
                let decision = Decision::record(vec![EventBody::RunPaused(event)]);
                let freezes =
                    pause.reason == PauseReason::Operator && self.live_attempt().is_some();
                Ok(if freezes { decision.and(Effect::FreezeAgent) } else { decision })
            }
            Status::Paused { .. } => Ok(Decision::NOTHING),
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }

    pub(super) fn resume(&self, resume: &Resume, now: Timestamp) -> Result<Decision, Rejection> {
        match self.status {
            Status::Paused { .. } => {
                let event = EventBody::RunResumed(RunResumed { by: resume.by.clone() });
                let effect = if self.live_attempt().is_some() {
                    Effect::ThawAgent
                } else {
                    Effect::Dispatch { not_before: now }
                };
                Ok(Decision::record(vec![event]).and(effect))
            }
            Status::Pending { .. } | Status::Running { .. } => Err(self.not_now("resume")),
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                Err(self.terminal())
            }
        }
    }
}
