//! Cancelling the runs before a queued run that takes their turn in its session.
//!
//! Done when that run is admitted: a worker whose slots they hold could not claim it.

use std::time::Duration;

use errand_model::event::{CancelCause, OnBusy};
use errand_model::run::{Cancel, Run};
use futures_util::future::BoxFuture;

use super::{Error, TRIES, ask, cancel};
use crate::{Engine, wait};

/// Grace of the agent of a superseded run.
pub(crate) const SUPERSEDED_GRACE: Duration = Duration::from_secs(10);

/// Cancels the runs that are ahead of `run` in its session, if any worker may claim `run` and its
/// `on_busy` says so. Does not wait for a run under way: the worker that claims `run` does.
///
/// # Errors
///
/// If the registry fails.
pub(crate) fn supersede<'a>(engine: &'a Engine, run: &'a Run) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let is_meant = run.spec.placement.is_some()
            && matches!(run.spec.session_turn, Some(OnBusy::Interrupt | OnBusy::Rollback));
        if !is_meant {
            return Ok(());
        }
        for _ in 0..TRIES {
            let Some(ahead) = engine.store().turn(&run.id).await?.next_ahead else { return Ok(()) };
            let stored = wait::load(engine, &ahead).await?;
            let (cause, by) = (CancelCause::Superseded, Some(run.id.to_string()));
            if stored.lease.is_some() {
                let with_grace = Cancel { cause, by, grace: SUPERSEDED_GRACE };
                return ask(engine, &stored, with_grace.into()).await;
            }
            let at_once = Cancel { cause, by, grace: Duration::ZERO };
            cancel(engine, &ahead, &at_once).await?;
        }
        Ok(())
    })
}
