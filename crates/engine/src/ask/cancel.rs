//! Ending a run, whatever state it is in.

use std::time::Duration;

use errand_agent::os::{self, Signal};
use errand_model::RunId;
use errand_model::run::Cancel;
use errand_store::{Lease, Stored};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Error, TRIES, ask, reconciled, still_live};
use crate::ask::AskProblem;
use crate::error::IoFailure;
use crate::run_to_completion::run_to_completion;
use crate::wait::{self, WaitEnd};
use crate::{Engine, lease, news, reconcile, unheld};

/// Time for a supervisor to report after the grace period. After that it is taken for hung, killed,
/// and the run reconciled.
const REPORT_LIMIT: Duration = Duration::from_secs(15);
/// Time for a supervisor to report after it killed the agent at once: a caller who says `--force`
/// does not want to wait.
const FORCED_REPORT_LIMIT: Duration = Duration::from_secs(2);

/// Progress of a cancellation.
enum Step {
    /// The run ended.
    Ended(Box<Stored>),
    /// A supervisor was asked.
    AskedSupervisor,
    /// A coordinator without a process was asked; it ends its children first.
    AskedCoordinator,
}

/// Ends a run and returns it as it ended. A run that is over already is returned as it is.
///
/// # Errors
///
/// [`super::AskProblem::Elsewhere`] if it is supervised on another machine that does not answer in
/// time; [`super::AskProblem::StillLive`] if its worker, or its coordinator's children, do not end
/// in time.
pub fn cancel<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    cancel: &'a Cancel,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        for _ in 0..TRIES {
            let stored = reconciled(engine, run_id).await?;
            if stored.run.status.is_terminal() {
                return Ok(stored);
            }
            let ended = match step(engine, &stored, cancel).await {
                Ok(Step::Ended(ended)) => Some(*ended),
                Ok(Step::AskedSupervisor) => until_reported(engine, run_id, cancel.grace).await?,
                Ok(Step::AskedCoordinator) => {
                    let limit = cancel.grace + REPORT_LIMIT;
                    match wait::until_over(engine, run_id, Some(Instant::now() + limit)).await? {
                        WaitEnd::Reached(ended) => Some(*ended),
                        WaitEnd::TimedOut(stored) => return Err(still_live(&stored, limit)),
                    }
                }
                Err(error) if unheld::is_race(&error) => None,
                Err(error) => return Err(error),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
        Ok(wait::load(engine, run_id).await?)
    })
}

/// Asks for the end of a run without waiting for it. The request is durable when this returns.
/// Returns the run as it is then; one without a supervisor is over.
///
/// # Errors
///
/// If the registry fails.
pub fn begin_cancel<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    cancel: &'a Cancel,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        for _ in 0..TRIES {
            let stored = reconciled(engine, run_id).await?;
            if stored.run.status.is_terminal() {
                return Ok(stored);
            }
            match step(engine, &stored, cancel).await {
                Ok(Step::Ended(ended)) => return Ok(*ended),
                Ok(Step::AskedSupervisor | Step::AskedCoordinator) => {
                    let fresh = wait::load(engine, run_id).await?;
                    // A supervisor may have released the run before it read the request: try again.
                    if fresh.lease.is_some() || takes_turns(&fresh) {
                        return Ok(fresh);
                    }
                }
                Err(error) if unheld::is_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wait::load(engine, run_id).await?)
    })
}

/// Gives the command to the process that may decide it.
fn step<'a>(
    engine: &'a Engine,
    stored: &'a Stored,
    cancel: &'a Cancel,
) -> BoxFuture<'a, Result<Step, Error>> {
    Box::pin(async move {
        if takes_turns(stored) {
            let decision = unheld::command(engine, stored, &cancel.clone().into()).await?;
            if decision.events.is_empty() {
                // The supervisor was asked before, and may not have cancelled the run yet.
                news::tell(engine, &stored.run).await?;
            }
            return Ok(Step::AskedCoordinator);
        }
        if stored.lease.is_some() {
            ask(engine, stored, cancel.clone().into()).await?;
            return Ok(Step::AskedSupervisor);
        }
        Ok(Step::Ended(Box::new(end_unheld(engine, stored, cancel).await?)))
    })
}

/// Waits until a supervisor that was asked has ended the run. `None`: it was killed instead.
async fn until_reported(
    engine: &Engine,
    run_id: &RunId,
    grace: Duration,
) -> Result<Option<Stored>, Error> {
    let limit = grace + if grace.is_zero() { FORCED_REPORT_LIMIT } else { REPORT_LIMIT };
    let stored = match wait::until_over(engine, run_id, Some(Instant::now() + limit)).await? {
        WaitEnd::Reached(ended) => return Ok(Some(*ended)),
        WaitEnd::TimedOut(stored) => stored,
    };
    let Some(lease) = &stored.lease else { return Ok(None) };
    if stored.run.spec.placement.is_some() || lease.expires_at.is_some() {
        // A worker has other runs too, and a process that only looks after the run has other work:
        // neither is killed for one run.
        return Err(still_live(&stored, limit));
    }
    if !reconcile::is_here(engine, lease) {
        let host = lease.holder.host.clone();
        return Err(AskProblem::Elsewhere { run_id: run_id.clone(), host }.into());
    }
    os::signal(&lease.holder.process, Signal::Kill)
        .map_err(IoFailure::of("end the supervisor of", engine.registry().run_log(run_id)))?;
    Ok(None)
}

/// Returns whether the run is an unheld coordinator that ends its children first.
fn takes_turns(stored: &Stored) -> bool {
    let children = stored.run.coordination.iter().any(|it| !it.live.is_empty());
    stored.lease.is_none() && (stored.run.is_coordinating() || children)
}

/// Takes the lease of an unheld run, and ends the run.
async fn end_unheld(engine: &Engine, stored: &Stored, cancel: &Cancel) -> Result<Stored, Error> {
    let (engine, run, seen_epoch) = (engine.clone(), stored.run.clone(), stored.epoch);
    let cancel = cancel.clone();
    let work = Box::pin(async move {
        let lease = lease::borrow(&engine, &run, seen_epoch).await?;
        let ended = end(&engine, &run.id, &lease, cancel).await;
        if ended.is_err() {
            lease::give_back(&engine, &run, &lease).await;
        }
        ended
    });
    run_to_completion(work).await
}

/// Ends a run under a lease just taken.
async fn end(
    engine: &Engine,
    run_id: &RunId,
    lease: &Lease,
    cancel: Cancel,
) -> Result<Stored, Error> {
    let stored = wait::load(engine, run_id).await?;
    unheld::command_under(engine, &stored, &cancel.into(), lease).await?;
    Ok(wait::load(engine, run_id).await?)
}
