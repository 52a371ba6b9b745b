//! Fork: a new run that begins in the middle of an old one.

use errand_model::RunId;
use errand_model::event::RunKind;
use errand_model::inherit::InheritanceEnd;

use super::{Error, onward, reconciled};
use crate::Engine;
use crate::again::NotRetryable;
use crate::submission::Submission;

/// Returns the submission of a run that repeats `run_id` from the step `key` on, with the steps
/// completed and the checkpoint saved before that step began. The run may be live.
///
/// # Errors
///
/// [`Error::Inherit`] if the step does not exist, [`super::NotRetryable`] for a service.
pub async fn fork(engine: &Engine, run_id: &RunId, key: &str) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    let refused = |reason| Err(NotRetryable { run_id: run_id.clone(), reason }.into());
    if run.spec.kind == RunKind::Service {
        return refused("is a service, which has no steps");
    }
    if run.spec.replay.is_some() {
        return refused("is a replay: fork the run that it repeats");
    }
    onward(engine, &run, InheritanceEnd::Step(key)).await
}
