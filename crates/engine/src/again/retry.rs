//! Retry: a new run that continues one that failed or was cancelled.

use errand_model::event::{EventBody, RunKind};
use errand_model::inherit::InheritanceEnd;
use errand_model::run::{Run, Status};
use errand_model::{Event, Payload, RunId};

use super::{Error, journal, onward, reconciled};
use crate::again::NotRetryable;
use crate::error::RunLive;
use crate::submission::Submission;
use crate::{Engine, payload};

/// Returns the submission of a run that continues `run_id`, with all its completed steps and its
/// last checkpoint.
///
/// # Errors
///
/// [`crate::error::RunLive`], or [`super::NotRetryable`] for a service and for a completed run.
pub async fn retry(engine: &Engine, run_id: &RunId) -> Result<Submission, Error> {
    let stored = reconciled(engine, run_id).await?;
    check(&stored.run)?;
    if has_steps_elsewhere(engine, run_id).await? {
        let reason = "has completed steps at its dispatcher, which a retry here would do again";
        return Err(NotRetryable { run_id: run_id.clone(), reason }.into());
    }
    onward(engine, &stored.run, InheritanceEnd::End).await
}

/// Returns true if the task that carried a run out completed steps: the journal of the run has none of them.
async fn has_steps_elsewhere(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    let events = journal(engine, run_id).await?;
    let task = match events.last().and_then(|last| last.body().ok()) {
        Some(EventBody::RunFailed(failed)) => failed.task,
        Some(EventBody::RunCancelled(cancelled)) => cancelled.task,
        Some(_) | None => None,
    };
    let Some(task) = task else { return Ok(false) };
    let lines = payload::to_bytes(&engine.blobs(), &Payload::Blob(task.blob))?;
    let is_step =
        |line| Event::from_json_line(line).is_ok_and(|event| event.kind == "step.completed");
    Ok(String::from_utf8_lossy(&lines).lines().any(is_step))
}

fn check(run: &Run) -> Result<(), Error> {
    let refused = |reason| Err(NotRetryable { run_id: run.id.clone(), reason }.into());
    if run.spec.kind == RunKind::Service {
        return refused("is a service, which `errand restart` begins anew");
    }
    if run.spec.replay.is_some() {
        return refused("is a replay");
    }
    match run.status {
        Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. } => {
            Err(RunLive { run_id: run.id.clone() }.into())
        }
        Status::Completed { .. } => refused("did well"),
        Status::Failed { .. } | Status::Cancelled { .. } => Ok(()),
    }
}
