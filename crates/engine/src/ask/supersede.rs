//! Queued runs that take the turn of earlier runs in their session.
//!
//! Superseded runs are ended at admission: if they hold all slots of a worker, it cannot claim the
//! new run, which would end them.

use std::time::Duration;

use errand_model::event::{CancelCause, OnBusy};
use errand_model::run::Run;
use errand_store::RequestKind;

use super::{Stop, TRIES, ask, stop};
use crate::supervise::SUPERSEDED_GRACE;
use crate::{Engine, Error, wait};

/// Ends the runs ahead of `run` in its session, if any worker may claim `run` and it supersedes
/// others. Does not wait for a run that is under way: the worker that claims `run` does.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn supersede(engine: &Engine, run: &Run) -> Result<(), Error> {
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
            let kind = RequestKind::Cancel { cause, by, grace: SUPERSEDED_GRACE };
            return ask(engine, &stored, kind).await;
        }
        Box::pin(stop(engine, &ahead, &Stop { cause, by, grace: Duration::ZERO })).await?;
    }
    Ok(())
}
