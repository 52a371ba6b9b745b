//! Redrive of a dead letter.

use errand_model::RunId;
use errand_model::inherit::InheritanceEnd;

use super::{Error, onward, reconciled, submission};
use crate::Engine;
use crate::submission::Submission;

/// Options of a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// From the start, without inherited steps.
    pub from_start: bool,
    /// Even if the dead letter was redriven or discarded already.
    pub again: bool,
}

/// Returns the submission of a run that replaces a dead letter.
///
/// # Errors
///
/// [`errand_store::Error::NoDeadLetter`]; admission finds that it is settled already.
pub async fn redrive(engine: &Engine, run_id: &RunId, how: Redrive) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    if !run.dead_letter {
        let run_id = run_id.clone();
        return Err(errand_store::Error::NoDeadLetter { run_id }.into());
    }
    let mut submission = if how.from_start {
        submission(engine, &run)?
    } else {
        onward(engine, &run, InheritanceEnd::End).await?
    };
    submission.lineage.redrives = !how.again;
    Ok(submission)
}
