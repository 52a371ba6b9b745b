//! The end of an attempt, and what it means for the run.

use std::time::Duration;

use super::{Decision, Effect, Rejection, Run, Status};
use crate::error_code::{CodeClass, EndedBy, ErrorCode};
use crate::event::{
    AttemptExited, AttemptFailed, AttemptStopped, CancelCause, EventBody, Failure, ProcessUsage,
    RequeueReason, RunCancelled, RunCompleted, RunDeadLettered, RunFailed, RunKind, RunRequeued,
    RunResumed, RunStarted, StopReason,
};
use crate::task::TaskEvidence;
use crate::{Payload, Timestamp};

/// The attempt is over: no process of it lives.
#[derive(Clone, Debug, PartialEq)]
pub struct EndAttempt {
    /// The attempt.
    pub attempt: u32,
    /// Outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// The agent's exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, where one did.
    pub signal: Option<i32>,
    /// Resource use.
    pub usage: ProcessUsage,
    /// Task at a dispatcher that carried the attempt out.
    pub task: Option<Box<EndedTask>>,
}

/// Task at a dispatcher that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTask {
    /// Evidence for the terminal event of the run.
    pub evidence: TaskEvidence,
    /// Calls and artifacts of the task, to be recorded as those of the run.
    pub events: Vec<EventBody>,
}

/// Outcome of an attempt that ended by itself.
///
/// Requests to the run meanwhile (cancel, restart) are in the run's own state, and take precedence.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptOutcome {
    /// The agent ended well; its artifacts are durable.
    Exited {
        /// Takes the place of an output set earlier; `None` leaves that.
        output: Option<Payload>,
    },
    /// The agent failed.
    Failed(Failure),
    /// The supervising process was asked to shut down.
    Drained,
}

/// Retry after a failure.
struct NextRetry {
    is_allowed: bool,
    /// Delay before it.
    delay: Duration,
    /// True if the run had retries for such a failure: without another one, it is a dead letter.
    were_spent: bool,
}

impl Run {
    pub(super) fn end_attempt(
        &self,
        end: &EndAttempt,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        self.check_attempt(end.attempt)?;
        let mut decision = self.decide_end(end, now)?;
        if let Some(task) = end.task.as_deref() {
            for event in &mut decision.events {
                name_task(event, &task.evidence);
            }
            // In one commit with the end, so that no call is ever counted twice.
            decision.events.splice(0..0, task.events.iter().cloned());
        }
        Ok(decision)
    }

    fn decide_end(&self, end: &EndAttempt, now: Timestamp) -> Result<Decision, Rejection> {
        if let Some(request) = &self.cancel_requested {
            let cancelled = cancelled(request.cause, request.by.clone(), end);
            return Ok(Decision::record(vec![stopped(StopReason::Cancel, end), cancelled]));
        }
        if self.restart_requested.is_some() {
            let requeued = requeued(RequeueReason::Restart, now);
            let events = vec![stopped(StopReason::Restart, end), requeued];
            return Ok(
                Decision::record(self.unpaused(events)).and(Effect::Dispatch { not_before: now })
            );
        }
        if self.parks(end) {
            return Ok(self.park(end, now));
        }
        match &end.outcome {
            AttemptOutcome::Exited { output } => {
                let exited = AttemptExited { exit_code: end.exit_code, usage: end.usage };
                let output = output.clone().or_else(|| self.output.clone());
                let mut events: Vec<EventBody> = self
                    .said(output.as_ref())
                    .map(EventBody::SessionAppended)
                    .into_iter()
                    .collect();
                let completed = RunCompleted { task: None, output, exit_code: end.exit_code };
                events.push(EventBody::AttemptExited(exited));
                events.push(EventBody::RunCompleted(completed));
                if matches!(self.status, Status::Pending { .. }) {
                    // The attempt ended before `attempt.running` was recorded.
                    events.insert(0, EventBody::RunStarted(RunStarted {}));
                }
                Ok(Decision::record(self.unpaused(events)))
            }
            AttemptOutcome::Failed(failure) => Ok(self.failed_attempt(failure, end, now)),
            AttemptOutcome::Drained => Ok(self.drained(end, now)),
        }
    }

    /// A failed attempt is followed by another, or by the end of the run.
    pub(super) fn failed_attempt(
        &self,
        failure: &Failure,
        end: &EndAttempt,
        now: Timestamp,
    ) -> Decision {
        if self.spec.kind == RunKind::Service {
            return self.failed_service(failure, end, now);
        }
        let failed = EventBody::AttemptFailed(AttemptFailed {
            error: failure.clone(),
            exit_code: end.exit_code,
            signal: end.signal,
            usage: end.usage,
        });
        let retry = self.retry_after(failure, end.exit_code);
        let not_before = now.plus(retry.delay);
        // An attempt that could only begin once time is up is none.
        let in_time = self.run_deadline().is_none_or(|deadline| not_before < deadline);
        let is_allowed = retry.is_allowed;
        if self.is_held() && is_allowed {
            // The holder of the run decides when there is another attempt.
            return Decision::record(vec![failed]);
        }
        if in_time && is_allowed {
            let requeued = requeued(RequeueReason::Retry, not_before);
            return Decision::record(self.unpaused(vec![failed, requeued]))
                .and(Effect::Dispatch { not_before });
        }
        let mut events = vec![failed];
        if retry.were_spent {
            events.push(EventBody::RunDeadLettered(RunDeadLettered {
                attempts: self.last_attempt_number(),
            }));
        }
        events.push(EventBody::RunFailed(RunFailed {
            task: None,
            error: failure.clone(),
            exit_code: end.exit_code,
            signal: end.signal,
        }));
        Decision::record(events)
    }

    /// Returns the retry that follows a failure of the live attempt, and whether it is allowed.
    fn retry_after(&self, failure: &Failure, exit_code: Option<i32>) -> NextRetry {
        if let Some((policy, failures)) = self.dispatch_failure(failure) {
            let is_allowed = failures <= policy.max_retries;
            let delay = policy.delay_before(failures, self.spread(failures));
            return NextRetry { is_allowed, delay, were_spent: policy.max_retries > 0 };
        }
        let policy = &self.spec.retry;
        let failures = self.failures().saturating_sub(self.dispatch_failures()) + 1;
        NextRetry {
            // A dispatcher has tried failures of the agent again, where its completed steps are.
            is_allowed: policy.allows(failures, failure, exit_code)
                && !(policy.dispatch.is_some() && is_by_agent(failure)),
            delay: policy.delay_before(failures, self.spread(failures)),
            were_spent: policy.max_retries > 0 && policy.is_retryable(failure, exit_code),
        }
    }

    /// Decides after the supervisor was asked to end: the run is handed on, or ended if it cannot
    /// be.
    fn drained(&self, end: &EndAttempt, now: Timestamp) -> Decision {
        let attempt = stopped(StopReason::Drain, end);
        match self.spec.kind {
            // The run rests until it is released.
            RunKind::Service if self.comes_back() && self.is_held() => {
                Decision::record(vec![attempt])
            }
            RunKind::Service if self.comes_back() => {
                // At once, or with the next boot: `Run::rests_until_boot`.
                let events = vec![attempt, requeued(RequeueReason::Drain, now)];
                Decision::record(self.unpaused(events)).and(Effect::Dispatch { not_before: now })
            }
            RunKind::Service => {
                let cancelled = cancelled(CancelCause::SupervisorGone, None, end);
                Decision::record(vec![attempt, cancelled])
            }
            RunKind::Job | RunKind::Heartbeat
                if self.spec.placement.is_some() && self.is_held() =>
            {
                // The run rests until it is released.
                Decision::record(vec![attempt])
            }
            RunKind::Job | RunKind::Heartbeat
                if self.spec.placement.is_some() || self.spec.retry.max_retries > 0 =>
            {
                let events = vec![attempt, requeued(RequeueReason::Drain, now)];
                Decision::record(self.unpaused(events)).and(Effect::Dispatch { not_before: now })
            }
            RunKind::Job | RunKind::Heartbeat => {
                let message = "the supervising process was told to end before the run was over";
                let error = Failure::new(ErrorCode::SupervisorStopped, message);
                let failed =
                    RunFailed { task: None, error, exit_code: end.exit_code, signal: end.signal };
                Decision::record(vec![attempt, EventBody::RunFailed(failed)])
            }
        }
    }

    /// A paused run whose agent ended is resumed before it moves on.
    pub(super) fn unpaused(&self, mut events: Vec<EventBody>) -> Vec<EventBody> {
        if matches!(self.status, Status::Paused { .. }) {
            events.insert(0, EventBody::RunResumed(RunResumed { by: None }));
        }
        events
    }

    /// A number from the run's id: the same in every replay, different from run to run.
    fn spread(&self, retry: u32) -> u8 {
        let salt = retry.to_le_bytes()[0];
        self.id.as_str().bytes().fold(salt, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
    }
}

pub(super) fn stopped(reason: StopReason, end: &EndAttempt) -> EventBody {
    EventBody::AttemptStopped(AttemptStopped {
        reason,
        exit_code: end.exit_code,
        signal: end.signal,
        usage: end.usage,
    })
}

pub(super) fn requeued(reason: RequeueReason, not_before: Timestamp) -> EventBody {
    EventBody::RunRequeued(RunRequeued { reason, not_before_ms: not_before })
}

pub(super) fn cancelled(cause: CancelCause, by: Option<String>, end: &EndAttempt) -> EventBody {
    let (exit_code, signal) = (end.exit_code, end.signal);
    EventBody::RunCancelled(RunCancelled { task: None, cause, by, exit_code, signal })
}

/// Names a task in the terminal event of its run.
fn name_task(event: &mut EventBody, evidence: &TaskEvidence) {
    let named = Some(Box::new(evidence.clone()));
    if let EventBody::RunCompleted(completed) = event {
        completed.task = named;
    } else if let EventBody::RunFailed(failed) = event {
        failed.task = named;
    } else if let EventBody::RunCancelled(cancelled) = event {
        cancelled.task = named;
    }
}

/// Returns true if the agent ended by itself, or said that it failed.
fn is_by_agent(failure: &Failure) -> bool {
    match failure.code.class() {
        CodeClass::AgentsOwn
        | CodeClass::Transient(EndedBy::Agent)
        | CodeClass::Permanent(EndedBy::Agent) => true,
        CodeClass::Transient(EndedBy::Outside) | CodeClass::Permanent(EndedBy::Outside) => false,
    }
}
