//! End of a recorded run, and its comparison with a replay.

use thiserror::Error;

use crate::error_code::{CodeClass, EndedBy};
use crate::event::{RunKind, UnknownEvent};
use crate::failure::FailureCode;
use crate::run::{AttemptState, Run, Status};
use crate::{Payload, RunId};

/// End of the recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEnd {
    /// The agent's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub signal: Option<i32>,
    /// Output of the run.
    pub output: Option<Payload>,
}

/// Returns the end of a run that its agent caused.
pub(super) fn end(run: &Run) -> Result<RecordedEnd, NotReplayable> {
    let run_id = || run.id.clone();
    if run.spec.kind == RunKind::Service {
        return Err(NotReplayable::Service { run_id: run_id() });
    }
    if run.spec.plan.is_some() {
        return Err(NotReplayable::Coordinator { run_id: run_id() });
    }
    if !run.status.is_terminal() {
        return Err(NotReplayable::Live { run_id: run_id(), status: run.status.name() });
    }
    let stopped = |how: &str| NotReplayable::Stopped { run_id: run_id(), how: how.to_owned() };
    if let Status::Cancelled { .. } = &run.status {
        return Err(stopped("it was cancelled"));
    }
    match run.attempts.last().map(|last| &last.state) {
        Some(AttemptState::Exited(end)) => {
            Ok(RecordedEnd { exit_code: end.exit_code, signal: None, output: run.output.clone() })
        }
        Some(AttemptState::Failed(end, error)) if ended_by_itself(&error.code) => {
            Ok(RecordedEnd { exit_code: end.exit_code, signal: end.signal, output: None })
        }
        Some(AttemptState::Failed(_, error)) => Err(stopped(&error.message)),
        Some(AttemptState::Stopped(..)) => Err(stopped("its last attempt was stopped")),
        Some(AttemptState::Starting(_) | AttemptState::Running) | None => {
            Err(stopped("no attempt of it ended"))
        }
    }
}

/// Returns whether an attempt that failed with that code ended by its agent's own doing.
fn ended_by_itself(code: &FailureCode) -> bool {
    match code.class() {
        CodeClass::AgentsOwn => true,
        CodeClass::Transient(by) | CodeClass::Permanent(by) => by == EndedBy::Agent,
    }
}

/// Reason why a run cannot be replayed strictly.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotReplayable {
    /// The run is not over.
    #[error("run {run_id} is {status}: only a run that is over can be replayed")]
    Live {
        /// The run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
    },
    /// The run is a service.
    #[error("run {run_id} is a service: its wakes are the runs that can be replayed")]
    Service {
        /// The run.
        run_id: RunId,
    },
    /// The answer of a model call was not kept.
    #[error(
        "run {run_id} has calls without their answers, such as {step}: the sampling of its agent did \
         not keep them"
    )]
    AnswersNotKept {
        /// The run.
        run_id: RunId,
        /// Key of the first such step.
        step: String,
    },
    /// The run is a coordinator.
    #[error("run {run_id} coordinates others: its children are the runs that can be replayed")]
    Coordinator {
        /// The run.
        run_id: RunId,
    },
    /// The agent did not end by itself: there is no end to compare with.
    #[error(
        "run {run_id} was not ended by its agent, so that there is no end to compare with: {how}"
    )]
    Stopped {
        /// The run.
        run_id: RunId,
        /// Description of its end.
        how: String,
    },
    /// An event that this program does not know.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
}
