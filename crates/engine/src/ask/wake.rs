//! Wakes of a service that a person asks for.

use std::time::Duration;

use errand_model::RunId;
use errand_model::event::RunKind;
use errand_model::run::Run;
use errand_store::{RequestKind, Stored};
use tokio::time::Instant;

use super::{ask, hold};
use crate::wait::{self, Waited};
use crate::{Engine, Error, again, parcels, payload, people, schema};

/// Longest wait for a service to fire the wake.
const LIMIT: Duration = Duration::from_secs(30);

/// Request for a wake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Input of the agent, byte for byte; `None`: no input, as at a heartbeat.
    pub input: Option<Vec<u8>>,
    /// Person who asks.
    pub by: Option<String>,
}

/// Wakes a service, and returns the wake's run, which is admitted when this returns: it is carried
/// out even if the service's supervisor dies, unless its restart policy is `no`.
///
/// # Errors
///
/// [`Error::NotWoken`] for a run that is no service, is paused, or did not fire in time;
/// [`people::Unanswerable::RunOver`] for one that is over.
pub async fn wake(engine: &Engine, run_id: &RunId, wake: &Wake) -> Result<RunId, Error> {
    let stored = again::reconciled(engine, run_id).await?;
    check(&stored.run)?;
    check_input(engine, &stored.run, wake.input.as_deref())?;
    let input = wake.input.clone();
    let input = input.map(|bytes| payload::from_bytes(&engine.blobs(), bytes)).transpose()?;
    let wake_run_id = engine.new_run_id()?;
    let kind =
        RequestKind::Wake { input, by: wake.by.clone(), wake_run_id: Some(wake_run_id.clone()) };
    match ask(engine, &stored, kind).await {
        Err(Error::Store(errand_store::Error::Sealed { .. })) => {
            people::over(&wait::load(engine, run_id).await?.run)?;
            return Err(Error::Closed);
        }
        asked => asked?,
    }
    until_fired(engine, stored, wake_run_id).await
}

/// Refuses runs that cannot fire a wake.
fn check(run: &Run) -> Result<(), Error> {
    let refused = |reason| Err(Error::NotWoken { run_id: run.id.clone(), reason });
    if run.spec.kind != RunKind::Service {
        return refused("is no service: only those have wakes");
    }
    people::over(run)?;
    if run.cancel_requested.is_some() {
        return refused("is being stopped");
    }
    if hold::is_held(run) {
        return refused("is paused: `errand resume` lets it go on");
    }
    Ok(())
}

/// Refuses input that no run of the agent would be admitted with.
fn check_input(engine: &Engine, run: &Run, input: Option<&[u8]>) -> Result<(), Error> {
    let Some(input) = input else { return Ok(()) };
    let parcel = parcels::open(engine, &run.spec.agent.digest)?;
    schema::check_input(&parcel.agent, Some(input))?;
    people::refuse_secrets(engine, run, "input", &String::from_utf8_lossy(input))
}

async fn until_fired(
    engine: &Engine,
    mut stored: Stored,
    wake_run_id: RunId,
) -> Result<RunId, Error> {
    let wakes = |run: &Run| run.service.as_ref().map_or(0, |service| service.wakes);
    let run_id = stored.run.id.clone();
    let deadline = Instant::now() + LIMIT;
    loop {
        if engine.store().load(&wake_run_id).await?.is_some() {
            return Ok(wake_run_id);
        }
        check(&stored.run)?;
        let before = wakes(&stored.run);
        let is_settled = |stored: &Stored| {
            wakes(&stored.run) > before || stored.open_requests == 0 || check(&stored.run).is_err()
        };
        match wait::until(engine, &run_id, Some(deadline), is_settled).await? {
            Waited::Reached(fresh) if fresh.open_requests == 0 => {
                return fired_or_refused(engine, run_id, wake_run_id).await;
            }
            Waited::Reached(fresh) => stored = *fresh,
            Waited::TimedOut(_) => {
                let reason = "did not take the wake up in time; it fires it once it can";
                return Err(Error::NotWoken { run_id, reason });
            }
        }
    }
}

/// Returns the result of an answered request: a run, or an error that is described in the service's
/// log.
async fn fired_or_refused(
    engine: &Engine,
    run_id: RunId,
    wake_run_id: RunId,
) -> Result<RunId, Error> {
    if engine.store().load(&wake_run_id).await?.is_some() {
        return Ok(wake_run_id);
    }
    people::over(&wait::load(engine, &run_id).await?.run)?;
    let reason = "could not begin the wake: `errand logs --own` of it says why";
    Err(Error::NotWoken { run_id, reason })
}
