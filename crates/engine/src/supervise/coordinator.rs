//! The beginning of a coordinator's attempt, which needs no process once it began.

use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::{AttemptOutcome, AttemptUp, EndAttempt};

use super::{of_preparation, start};
use crate::journal::Journal;
use crate::{Engine, Error};

/// Begins the next attempt and releases the run. News for its first turn is left as documents.
///
/// # Errors
///
/// As [`Journal::command`].
pub(crate) async fn begin(engine: &Engine, journal: &Journal) -> Result<(), Error> {
    if let Err(error) = start(engine, journal).await? {
        return fail(journal, of_preparation(&error)).await;
    }
    let attempt = journal.look(|run, _| run.last_attempt_number());
    let up = AttemptUp { attempt, locator: None, memory_enforced_by: None, setup: None };
    Ok(journal.command(&up.into()).await.map(|_| ())?)
}

async fn fail(journal: &Journal, failure: Failure) -> Result<(), Error> {
    let end = EndAttempt {
        task: None,
        attempt: journal.look(|run, _| run.last_attempt_number()),
        outcome: AttemptOutcome::Failed(failure),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    Ok(journal.command(&end.into()).await.map(|_| ())?)
}
