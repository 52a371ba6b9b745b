//! Cancellation of a run in any state.

use std::time::Duration;

use errand_agent::os::{self, Signal};
use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::run::Cancel;
use errand_store::{Lease, RequestKind, Stored};
use tokio::time::Instant;

use super::{TRIES, ask};
use crate::run_to_completion::run_to_completion;
use crate::wait::{self, Waited};
use crate::{Engine, Error, lease, news, reconcile, unheld};

/// Longest wait for a supervisor's report after the grace period: then the supervisor counts as
/// hung, is killed, and the run reconciled.
const REPORT_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for the report if the agent is killed at once: users of `--force` do not want to
/// wait.
const FORCED_REPORT_LIMIT: Duration = Duration::from_secs(2);

/// Way of ending a run.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cause.
    pub cause: CancelCause,
    /// Person or run that asks.
    pub by: Option<String>,
    /// Time for the agent to end by itself; zero kills it at once.
    pub grace: Duration,
}

/// Ends a run and returns it in its final state. A run that is over is returned unchanged.
///
/// # Errors
///
/// [`Error::Elsewhere`] if it is supervised on another machine that does not answer in time.
pub async fn stop(engine: &Engine, run_id: &RunId, stop: &Stop) -> Result<Stored, Error> {
    for _ in 0..TRIES {
        let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
        if stored.run.status.is_terminal() {
            return Ok(stored);
        }
        let attempted = if takes_turns(&stored) {
            by_turns(engine, &stored, stop).await
        } else if stored.lease.is_some() {
            by_supervisor(engine, &stored, stop).await
        } else {
            by_hand(engine, &stored, stop).await
        };
        match attempted {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) => {}
            // Another process was faster; the next round reads the run again.
            Err(Error::Store(
                errand_store::Error::Fenced { .. }
                | errand_store::Error::Sealed { .. }
                | errand_store::Error::Conflict { .. },
            )) => {}
            Err(error) => return Err(error),
        }
    }
    wait::load(engine, run_id).await
}

/// Requests the end of a run without waiting for it: the request is durable when this returns.
/// Returns the run; one without a supervisor is over.
///
/// # Errors
///
/// If the registry fails.
pub async fn begin_stop(engine: &Engine, run_id: &RunId, stop: &Stop) -> Result<Stored, Error> {
    for _ in 0..TRIES {
        let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
        if stored.run.status.is_terminal() {
            return Ok(stored);
        }
        let attempted = if takes_turns(&stored) {
            ask_coordinator(engine, &stored, stop).await.map(|()| None)
        } else if stored.lease.is_some() {
            let (cause, by, grace) = (stop.cause, stop.by.clone(), stop.grace);
            ask(engine, &stored, RequestKind::Cancel { cause, by, grace }).await.map(|()| None)
        } else {
            by_hand(engine, &stored, stop).await
        };
        match attempted {
            Ok(Some(ended)) => return Ok(ended),
            Ok(None) => {
                let fresh = wait::load(engine, run_id).await?;
                // The supervisor may have released the run before it read the request: the next
                // round checks.
                if fresh.lease.is_some() || takes_turns(&fresh) {
                    return Ok(fresh);
                }
            }
            Err(error) if unheld::is_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    wait::load(engine, run_id).await
}

/// Asks the supervisor, and waits until the run is over. `None`: the supervisor was killed.
async fn by_supervisor(
    engine: &Engine,
    stored: &Stored,
    stop: &Stop,
) -> Result<Option<Stored>, Error> {
    let run_id = &stored.run.id;
    let kind = RequestKind::Cancel { cause: stop.cause, by: stop.by.clone(), grace: stop.grace };
    ask(engine, stored, kind).await?;
    let report_limit = if stop.grace.is_zero() { FORCED_REPORT_LIMIT } else { REPORT_LIMIT };
    let deadline = Instant::now() + stop.grace + report_limit;
    match wait::until_over(engine, run_id, Some(deadline)).await? {
        Waited::Reached(ended) => Ok(Some(*ended)),
        Waited::TimedOut(stored) => {
            let Some(lease) = &stored.lease else { return Ok(None) };
            if stored.run.spec.placement.is_some() || lease.expires_at.is_some() {
                // A worker has other runs too, and a reconciler other work: neither is killed for
                // one run.
                let waited_ms = u64::try_from((stop.grace + report_limit).as_millis());
                let (run_id, status) = (run_id.clone(), stored.run.status.name());
                let waited_ms = waited_ms.unwrap_or(u64::MAX);
                return Err(Error::StillLive { run_id, status, waited_ms });
            }
            if !reconcile::is_here(engine, lease) {
                let host = lease.holder.host.clone();
                return Err(Error::Elsewhere { run_id: run_id.clone(), host });
            }
            os::signal(&lease.holder.process, Signal::Kill)
                .map_err(Error::io("end the supervisor of", engine.registry().run_log(run_id)))?;
            Ok(None)
        }
    }
}

/// Asks a coordinator, which ends its children before itself, and waits until it is over.
async fn by_turns(engine: &Engine, stored: &Stored, stop: &Stop) -> Result<Option<Stored>, Error> {
    ask_coordinator(engine, stored, stop).await?;
    let waits_for = stop.grace + REPORT_LIMIT;
    let deadline = Instant::now() + waits_for;
    match wait::until_over(engine, &stored.run.id, Some(deadline)).await? {
        Waited::Reached(ended) => Ok(Some(*ended)),
        Waited::TimedOut(stored) => Err(Error::StillLive {
            run_id: stored.run.id.clone(),
            status: stored.run.status.name(),
            waited_ms: u64::try_from(waits_for.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// Asks a coordinator. The request is durable when this returns, and the coordinator is told of it.
async fn ask_coordinator(engine: &Engine, stored: &Stored, stop: &Stop) -> Result<(), Error> {
    let (cause, by, grace) = (stop.cause, stop.by.clone(), stop.grace);
    let decision = unheld::command(engine, stored, &Cancel { cause, by, grace }.into()).await?;
    if decision.events.is_empty() {
        // The coordinator was asked before, and may not have acted yet.
        return news::tell(engine, &stored.run).await;
    }
    Ok(())
}

/// Returns whether the run is a coordinator that nobody holds and that ends its children first.
fn takes_turns(stored: &Stored) -> bool {
    let children = stored.run.coordination.iter().any(|it| !it.live.is_empty());
    stored.lease.is_none() && (stored.run.is_coordinating() || children)
}

/// Takes the lease of a run that nobody holds, and ends the run.
async fn by_hand(engine: &Engine, stored: &Stored, stop: &Stop) -> Result<Option<Stored>, Error> {
    let (engine, run, seen_epoch) = (engine.clone(), stored.run.clone(), stored.epoch);
    let cancel = Cancel { cause: stop.cause, by: stop.by.clone(), grace: stop.grace };
    let work = Box::pin(async move {
        let lease = lease::borrow(&engine, &run, seen_epoch).await?;
        let ended = end(&engine, &run.id, &lease, cancel).await;
        if ended.is_err() {
            lease::give_back(&engine, &run, &lease).await;
        }
        ended
    });
    run_to_completion(work).await.map(Some)
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
    wait::load(engine, run_id).await
}
