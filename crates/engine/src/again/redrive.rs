//! A dead letter is given another chance.

use errand_model::RunId;
use errand_model::inherit::Upto;

use super::{onward, reconciled, submission};
use crate::admit::Submission;
use crate::{Engine, Error};

/// How a dead letter is redriven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Without what it had done: from the start.
    pub from_start: bool,
    /// Even if it was redriven or discarded already.
    pub again: bool,
}

/// The same again in the place of a dead letter.
///
/// # Errors
///
/// [`errand_store::Error::NoDeadLetter`]; that it is settled already is found at admission.
pub async fn redrive(engine: &Engine, run_id: &RunId, how: Redrive) -> Result<Submission, Error> {
    let run = reconciled(engine, run_id).await?.run;
    if !run.dead_letter {
        let run_id = run_id.clone();
        return Err(errand_store::Error::NoDeadLetter { run_id }.into());
    }
    let mut submission = if how.from_start {
        submission(engine, &run)?
    } else {
        onward(engine, &run, Upto::End).await?
    };
    submission.lineage.redrives = !how.again;
    Ok(submission)
}
