//! News for coordinators: documents that tell a coordinator that it has something to hear.
//!
//! Each is written in the commit of the events that it follows from, so that none is without the
//! other. Deliberately absent: the turn in which the coordinator hears them.

pub(crate) mod document;
pub(crate) mod report;

pub(crate) use document::asked;
use errand_model::Timestamp;
use errand_model::run::Run;
use errand_store::DocumentWrite;
use futures_util::future::BoxFuture;
pub(crate) use report::child_usage;

use crate::Engine;

/// Tells a coordinator to read its requests.
///
/// # Errors
///
/// If the registry cannot be written.
pub(crate) fn tell<'a>(
    engine: &'a Engine,
    run: &'a Run,
) -> BoxFuture<'a, Result<(), errand_store::Error>> {
    Box::pin(async move {
        let now = engine.now();
        let number = u64::try_from(now.as_millis()).unwrap_or_default();
        engine.store().write_documents(vec![asked(run, number, now)]).await
    })
}

/// Returns true if no process has to hold the run while it continues: its attempt is live, without
/// a process.
pub(crate) fn is_let_go(run: &Run) -> bool {
    let is_up = |attempt: &errand_model::run::RunAttempt| {
        matches!(attempt.state, errand_model::run::AttemptState::Running)
    };
    run.coordination.is_some() && run.live_attempt().is_some_and(is_up)
}

/// Returns the news for a coordinator whose lease ends.
pub(crate) fn on_release(run: &Run, now: Timestamp) -> Vec<DocumentWrite> {
    if is_let_go(run) { document::began(run, now) } else { Vec::new() }
}
