//! Retry: a new run that continues one that failed or was cancelled.

use errand_model::RunId;
use errand_model::event::RunKind;
use errand_model::inherit::InheritanceEnd;
use errand_model::run::{Run, Status};

use super::{Error, onward, reconciled};
use crate::Engine;
use crate::again::NotRetryable;
use crate::error::RunLive;
use crate::submission::Submission;

/// Returns the submission of a run that continues `run_id`, with all its completed steps and its
/// last checkpoint.
///
/// # Errors
///
/// [`crate::error::RunLive`], or [`super::NotRetryable`] for a service and for a completed run.
pub async fn retry(engine: &Engine, run_id: &RunId) -> Result<Submission, Error> {
    let stored = reconciled(engine, run_id).await?;
    check(&stored.run)?;
    onward(engine, &stored.run, InheritanceEnd::End).await
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
