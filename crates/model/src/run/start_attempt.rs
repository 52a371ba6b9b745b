//! Taking the next attempt, and hearing that its agent lives.

use super::{Decision, Effect, Rejection, Run, Status};
use crate::event::{
    AttemptReason, AttemptRunning, AttemptSetup, AttemptStarted, EventBody, MemoryEnforcement,
    RequeueReason, RunStarted, Stage,
};
use crate::{Locator, ProcessIdentity, Timestamp};

/// Take the next attempt under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartAttempt {
    /// The lease; above every one that wrote before.
    pub epoch: u64,
    /// Process that supervises it.
    pub supervisor: ProcessIdentity,
    /// On which machine.
    pub host: String,
    /// The worker's name, where it is one.
    pub worker: Option<String>,
}

/// The agent of the attempt lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptUp {
    /// The attempt.
    pub attempt: u32,
    /// Locator of the agent; `None` where errand itself does the work.
    pub locator: Option<Locator>,
    /// Mechanism that enforces the memory limit; `None`: no limit.
    pub memory_enforced_by: Option<MemoryEnforcement>,
    /// Setup of the attempt; `None` where errand itself does the work.
    pub setup: Option<Box<AttemptSetup>>,
}

impl Run {
    pub(super) fn start_attempt(
        &self,
        start: &StartAttempt,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        let (not_before, waited_for) = match &self.status {
            Status::Pending { not_before, reason, .. } => (*not_before, *reason),
            Status::Running { .. } | Status::Paused { .. } => return Err(self.not_now("start")),
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => {
                return Err(self.terminal());
            }
        };
        if start.epoch <= self.epoch {
            return Err(Rejection::Fenced {
                run_id: self.id.clone(),
                epoch: start.epoch,
                current: self.epoch,
            });
        }
        // A coordinator that was lost ends its children before it ends itself.
        let is_ended = self.cancel_requested.is_some() && !self.has_live_children();
        if self.live_attempt().is_some() || is_ended || now < not_before {
            return Err(self.not_now("start"));
        }
        let reason = match waited_for {
            None if self.attempts.is_empty() => AttemptReason::Initial,
            None | Some(RequeueReason::Resume) => AttemptReason::Resume,
            Some(RequeueReason::Retry) => AttemptReason::Retry,
            Some(RequeueReason::Restart) => AttemptReason::Restart,
            Some(RequeueReason::WorkerLost | RequeueReason::Drain) if self.attempts.is_empty() => {
                AttemptReason::Initial
            }
            Some(RequeueReason::WorkerLost | RequeueReason::Drain) => AttemptReason::Recovery,
        };
        let started = AttemptStarted {
            number: self.last_attempt_number() + 1,
            reason,
            stage: Stage::Provisioning,
            epoch: start.epoch,
            supervisor: start.supervisor.clone(),
            host: start.host.clone(),
            worker: start.worker.clone(),
        };
        Ok(Decision::record(vec![EventBody::AttemptStarted(started)]).and(Effect::SpawnAgent))
    }

    pub(super) fn attempt_up(&self, up: &AttemptUp) -> Result<Decision, Rejection> {
        self.check_attempt(up.attempt)?;
        let process = up.locator.as_ref().and_then(Locator::process);
        let running = AttemptRunning {
            // A process leads the group and the session that it lives in.
            process_group_id: process.as_ref().map(|process| process.pid),
            locator: up.locator.clone().filter(|_| process.is_none()),
            process,
            memory_enforced_by: up.memory_enforced_by,
            setup: up.setup.clone(),
        };
        let mut events = vec![EventBody::AttemptRunning(running)];
        if matches!(self.status, Status::Pending { .. }) {
            events.push(EventBody::RunStarted(RunStarted {}));
        }
        Ok(Decision::record(events))
    }
}
