//! Waking a service.

use std::time::Duration;

use errand_model::RunId;
use errand_model::run::{Rejection, Run, WakeService};
use errand_store::Stored;
use tokio::time::Instant;

use super::{Error, ask};
use crate::error::RunEnding;
use crate::wait::{self, WaitEnd};
use crate::{Engine, parcels, payload, people, schema};

/// Time for a service to fire a wake that was asked for.
const LIMIT: Duration = Duration::from_secs(30);

/// Request for a wake, as a caller makes it: the input is not stored yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Input of the agent, byte for byte; `None`: none, as at a heartbeat.
    pub input: Option<Vec<u8>>,
    /// Name of the caller.
    pub by: Option<String>,
}

/// Wakes a service, and returns the wake's run, which is admitted when this returns: it is carried
/// out even if the service's supervisor dies, unless its restart policy is `no`.
///
/// # Errors
///
/// [`Rejection::NotWoken`] for a run that is no service, is paused, or did not fire it in time;
/// [`Rejection::Terminal`] for one that is over.
pub async fn wake(engine: &Engine, run_id: &RunId, wake: &Wake) -> Result<RunId, Error> {
    let stored = super::reconciled(engine, run_id).await?;
    let asks = WakeService { input: None, by: wake.by.clone(), wake_run_id: None };
    stored.run.decide(&asks.clone().into(), engine.now())?;
    check_input(engine, &stored.run, wake.input.as_deref())?;
    let input = wake.input.clone();
    let input = input.map(|bytes| payload::from_bytes(&engine.blobs(), bytes)).transpose()?;
    let wake_run_id = engine.new_run_id()?;
    let asks = WakeService { input, wake_run_id: Some(wake_run_id.clone()), ..asks };
    match ask(engine, &stored, asks.clone().into()).await {
        Err(Error::Store(errand_store::Error::Sealed { .. })) => {
            wait::load(engine, run_id).await?.run.check_live()?;
            return Err(RunEnding.into());
        }
        asked => asked?,
    }
    until_fired(engine, stored, (asks, wake_run_id)).await
}

/// Refuses input with which no run of the agent would be admitted.
fn check_input(engine: &Engine, run: &Run, input: Option<&[u8]>) -> Result<(), Error> {
    let Some(input) = input else { return Ok(()) };
    let parcel = parcels::open(engine, &run.spec.agent.digest)?;
    schema::check_input(&parcel.agent, Some(input))?;
    Ok(people::refuse_secrets(engine, run, "input", &String::from_utf8_lossy(input))?)
}

async fn until_fired(
    engine: &Engine,
    mut stored: Stored,
    (asks, wake_run_id): (WakeService, RunId),
) -> Result<RunId, Error> {
    let asks = asks.into();
    let refused = |run: &Run| run.decide(&asks, engine.now()).err();
    let wakes = |run: &Run| run.service.as_ref().map_or(0, |service| service.wakes);
    let run_id = stored.run.id.clone();
    let deadline = Instant::now() + LIMIT;
    loop {
        if engine.store().load(&wake_run_id).await?.is_some() {
            return Ok(wake_run_id);
        }
        if let Some(refused) = refused(&stored.run) {
            return Err(refused.into());
        }
        let before = wakes(&stored.run);
        let is_settled = |stored: &Stored| {
            wakes(&stored.run) > before
                || stored.open_requests == 0
                || refused(&stored.run).is_some()
        };
        match wait::until(engine, &run_id, Some(deadline), is_settled).await? {
            WaitEnd::Reached(fresh) if fresh.open_requests == 0 => {
                return fired_or_refused(engine, run_id, wake_run_id).await;
            }
            WaitEnd::Reached(fresh) => stored = *fresh,
            WaitEnd::TimedOut(_) => {
                let reason = "did not take the wake up in time; it fires it once it can";
                return Err(Rejection::NotWoken { run_id, reason }.into());
            }
        }
    }
}

/// Returns the wake's run once the request is answered: with a run, or with a line in the log.
async fn fired_or_refused(
    engine: &Engine,
    run_id: RunId,
    wake_run_id: RunId,
) -> Result<RunId, Error> {
    if engine.store().load(&wake_run_id).await?.is_some() {
        return Ok(wake_run_id);
    }
    wait::load(engine, &run_id).await?.run.check_live()?;
    let reason = "could not begin the wake: `errand logs --own` of it says why";
    Err(Rejection::NotWoken { run_id, reason }.into())
}
