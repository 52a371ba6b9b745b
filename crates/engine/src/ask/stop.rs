//! Ending a run, whatever state it is in.

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

/// How long after the grace period a supervisor may take to report: then it is taken for hung,
/// killed, and the run reconciled.
const REPORT_LIMIT: Duration = Duration::from_secs(15);
/// The same where the agent is killed at once: who says `--force` does not want to wait.
const FORCED_REPORT_LIMIT: Duration = Duration::from_secs(2);

/// How a run is to be ended.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Why.
    pub cause: CancelCause,
    /// Who asks.
    pub by: Option<String>,
    /// How long the agent has to end by itself; zero kills it at once.
    pub grace: Duration,
}

/// Ends a run and returns it as it ended. One that is over already is returned as it is.
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
            // Somebody was faster; look again.
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

/// Asks for the end of a run and does not wait for it: the request is durable when this returns. The
/// run as it is then; one that nobody supervises is over.
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
                // Whoever was asked may have let go of it before reading that: it is looked again.
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

/// Asks the supervisor, and waits until it has done it. `None`: it was killed instead.
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
                // Its worker has other runs too, and whoever only looks after it has other work: it
                // is not killed for one of them.
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

/// Asks a coordinator, which ends its children before it ends, and waits until it did.
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

/// The request is durable when this returns, and the coordinator is told to look.
async fn ask_coordinator(engine: &Engine, stored: &Stored, stop: &Stop) -> Result<(), Error> {
    let (cause, by, grace) = (stop.cause, stop.by.clone(), stop.grace);
    let decision = unheld::command(engine, stored, &Cancel { cause, by, grace }.into()).await?;
    if decision.events.is_empty() {
        // It was asked before, and may not have done it yet.
        return news::tell(engine, &stored.run).await;
    }
    Ok(())
}

/// Whether it is a coordinator that ends its children first, and that nobody holds.
fn takes_turns(stored: &Stored) -> bool {
    let children = stored.run.coordination.iter().any(|it| !it.live.is_empty());
    stored.lease.is_none() && (stored.run.is_coordinating() || children)
}

/// Takes the lease of a run that nobody holds, and ends it.
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
