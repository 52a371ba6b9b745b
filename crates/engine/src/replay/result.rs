//! Result of a strict replay.

use errand_model::RunId;
use errand_model::event::{EventBody, ReplayDiverged};
use errand_model::replay::RecordedRun;
use errand_model::run::Status;
use futures_util::future::BoxFuture;

use super::Error;
use crate::again::journal;
use crate::{Engine, wait};

/// Result of a strict replay that is over.
#[derive(Clone, Debug)]
pub struct ReplayOutcome {
    /// True if it did what the record says, to the end.
    pub is_same: bool,
    /// First difference; `None` if none was found.
    pub divergence: Option<ReplayDiverged>,
    /// Reason why it ended early although nothing differs; `None` if it did not.
    pub error: Option<String>,
    /// Compared items, in words.
    pub compared: Vec<String>,
}

/// Returns the result of a strict replay, from its journal.
///
/// # Errors
///
/// If the registry fails, or the repeated run is gone.
pub fn result<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
) -> BoxFuture<'a, Result<ReplayOutcome, Error>> {
    Box::pin(async move {
        let run = wait::load(engine, run_id).await?.run;
        let mut divergence = None;
        for event in journal(engine, run_id).await? {
            if let Ok(EventBody::ReplayDiverged(diverged)) = event.body() {
                divergence.get_or_insert(diverged);
            }
        }
        let mut outcome =
            ReplayOutcome { is_same: false, divergence, error: None, compared: Vec::new() };
        if outcome.divergence.is_some() {
            return Ok(outcome);
        }
        let Some(of) = run.spec.replay.as_ref().map(|replay| replay.of.clone()) else {
            return Ok(outcome);
        };
        let original = wait::load(engine, &of).await?.run;
        let record = RecordedRun::of(&original, &journal(engine, &of).await?)?;
        outcome.error = stopped(&run.status, &original.status);
        outcome.is_same = outcome.error.is_none();
        if outcome.is_same {
            outcome.compared = record.summary();
        }
        Ok(outcome)
    })
}

/// Returns why a replay without a difference ended early; `None` if it reached its end.
fn stopped(status: &Status, original: &Status) -> Option<String> {
    match (status, original) {
        (Status::Completed { .. }, _) => None,
        // The recorded run failed with the same code.
        (Status::Failed { error, .. }, Status::Failed { error: recorded, .. })
            if error.code == recorded.code =>
        {
            None
        }
        (Status::Failed { error, .. }, _) => Some(format!("{} ({})", error.message, error.code)),
        (Status::Cancelled { .. }, _) => Some("it was cancelled".to_owned()),
        (Status::Pending { .. } | Status::Running { .. } | Status::Paused { .. }, _) => {
            Some("it is not over".to_owned())
        }
    }
}
