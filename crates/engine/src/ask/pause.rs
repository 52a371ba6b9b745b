//! Commands that need nothing else, and above all holding a run.

use std::time::Duration;

use errand_model::run::{CallerCommand, Pause, Rejection, Run};
use errand_model::{ProcessIdentity, RunId};
use errand_store::Stored;
use tokio::time::Instant;

use super::{Error, LIMIT, begin, command, reconciled, still_live};
use crate::error::{CodedError as _, IoFailure};
use crate::{Engine, reconcile};

/// Between two looks at whether processes have stopped: they do at once, or never.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Holds a run: once this returns, no process of it executes. A run that is held already stays so.
///
/// # Errors
///
/// [`Rejection::Terminal`] if it is over; [`super::AskProblem::StillLive`] if its supervisor does
/// not do it.
pub async fn pause(engine: &Engine, run_id: &RunId, by: Option<String>) -> Result<Stored, Error> {
    let pause_run = Pause::by_operator(by.clone()).into();
    carry_out(engine, run_id, &pause_run, by).await
}

/// Gives a run a command that needs nothing else, in the name of `by`, and returns the run once the
/// command would change nothing more. If the run is held then, no process of it executes.
///
/// # Errors
///
/// [`Error::Rejected`] if the model refuses the command; [`super::AskProblem::StillLive`] if the
/// run's supervisor does not carry it out.
pub async fn carry_out(
    engine: &Engine,
    run_id: &RunId,
    wanted: &CallerCommand,
    by: Option<String>,
) -> Result<Stored, Error> {
    let stored = reconciled(engine, run_id).await?;
    let again = wanted.clone().into();
    let has_settled =
        |run: &Run| run.decide(&again, engine.now()).is_ok_and(|it| it.events.is_empty());
    let settled = command(engine, stored, wanted, LIMIT, has_settled).await?;
    until_frozen(engine, &settled).await?;
    for child in children(&settled.run) {
        if settled.run.is_held() {
            let paused = Box::pin(pause(engine, &child, by.clone())).await;
            paused.map(drop).or_else(unless_gone)?;
        }
    }
    Ok(settled)
}

/// Waits until no process of a run that this machine holds executes.
async fn until_frozen(engine: &Engine, held: &Stored) -> Result<(), Error> {
    let Some(lease) = held.lease.as_ref().filter(|lease| reconcile::is_here(engine, lease)) else {
        return Ok(());
    };
    let limit = LIMIT.unwrap_or_default();
    let (deadline, supervisor) = (Instant::now() + limit, &lease.holder.process);
    while held.run.is_held() && !is_frozen(engine, &held.run, supervisor).await? {
        if Instant::now() > deadline {
            return Err(still_live(held, limit));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Returns whether nothing of a run executes that `supervisor` supervises.
async fn is_frozen(
    engine: &Engine,
    run: &Run,
    supervisor: &ProcessIdentity,
) -> Result<bool, Error> {
    let Some(target) = engine.target_of(run) else { return Ok(true) };
    let path = engine.registry().run_log(&run.id);
    Ok(target
        .is_frozen(&run.id, supervisor)
        .await
        .map_err(IoFailure::of("look at the processes of", path))?)
}

/// Returns the children of a coordinator that are not over.
pub(super) fn children(run: &Run) -> Vec<RunId> {
    let coordination = run.coordination.iter();
    coordination.flat_map(|it| it.live.values()).map(|child| child.run_id.clone()).collect()
}

/// Ignores that a child ended, was removed, or was resumed by another caller.
pub(super) fn unless_gone(error: Error) -> Result<(), Error> {
    let is_over =
        matches!(error.rejection(), Some(Rejection::Terminal { .. } | Rejection::NotPaused { .. }));
    let is_gone = matches!(error.store(), Some(errand_store::Error::NoRun { .. }));
    if is_over || is_gone { Ok(()) } else { Err(error) }
}

/// Holds a child of a coordinator without waiting. Returns whether it is held, or over, already.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn begin_pause(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    begin(engine, run_id, Pause::by_operator(None).into(), Run::is_held).await
}
