//! The beginning of a coordinator's attempt: from here on it needs no process.

use errand_model::Timestamp;
use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::{AttemptUp, EndAttempt, Outcome, Run};
use errand_store::DocumentWrite;

use super::document;
use crate::journal::Journal;
use crate::supervise::{of_preparation, start};
use crate::{Engine, Error};

/// Begins the next attempt and lets go of the run. What it does first is left for it to hear.
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
    journal.command(&up.into()).await.map(|_| ())
}

async fn fail(journal: &Journal, failure: Failure) -> Result<(), Error> {
    let end = EndAttempt {
        attempt: journal.look(|run, _| run.last_attempt_number()),
        outcome: Outcome::Failed(failure),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    journal.command(&end.into()).await.map(|_| ())
}

/// Whether nobody has to hold the run while it goes on: its attempt lives, and has no process.
pub(crate) fn is_let_go(run: &Run) -> bool {
    let is_up = |attempt: &errand_model::run::Attempt| {
        matches!(attempt.state, errand_model::run::AttemptState::Running)
    };
    run.coordination.is_some() && run.live_attempt().is_some_and(is_up)
}

/// What is left for a coordinator to hear when it is let go.
pub(crate) fn left(run: &Run, now: Timestamp) -> Vec<DocumentWrite> {
    if is_let_go(run) { document::began(run, now) } else { Vec::new() }
}
