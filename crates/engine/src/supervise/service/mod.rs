//! A service: it stays alive while idle, and is woken by schedules, requests and people.
//!
//! Each wake is a run of its own, admitted in the commit that records the wake, so that a slot
//! fires at most once even if a process is killed at any point. Deliberately absent: polling. The
//! service sleeps until a slot is due or a request arrives.

mod due;
mod echo;
mod holder;
mod ingress;
mod plan;
mod recovery;
mod settle;
mod wake;
mod wake_end;
mod wakes;

use std::time::Duration;

use errand_agent::os;
use errand_model::error_code::ErrorCode;
use errand_model::event::{CancelCause, Failure, ListenerBound, ListenerSpec, ProcessUsage};
use errand_model::failure::FailureCode;
use errand_model::run::{
    AttemptOutcome, AttemptUp, BindListener, Cancel, Effect, EndAttempt, Pause, Resume, Run, Status,
};
use tokio::task::JoinSet;

pub use echo::wake_label;
pub use holder::{AddressHolder, address_holder};
pub use plan::{listener_spec, schedule_spec, service_spec};

use self::wakes::Wakes;
use crate::error::CodedError as _;
use crate::journal::{Journal, JournalProblem};
use crate::launch::HelperReport;
use crate::listener::BoundListener;
use crate::supervise::{SupervisorChannels, answer_requests};
use crate::{Engine, Error};

/// Heartbeat interval by default.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// Time that running wakes have to end by default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Longest time for listeners to answer their clients after the last wake: a little longer than
/// they give those clients.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Starts the next attempt of a service and runs it to its end.
pub(crate) async fn run(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<(), Error> {
    let started_at = engine.now();
    let pinned = crate::supervise::start(engine, journal).await?;
    let (attempt, digest) =
        journal.look(|run, _| (run.last_attempt_number(), run.spec.agent.digest.clone()));
    if let Err(error) = pinned {
        let failure = crate::supervise::of_preparation(&error);
        return fail(journal, channels, attempt, failure.code, failure.message).await;
    }
    let listeners = match bind(&journal.look(|run, _| addresses(run))).await {
        Ok(listeners) => listeners,
        Err(error) => {
            let code = if let Error::Listener(error) = &error {
                error.code()
            } else {
                ErrorCode::Internal
            };
            return fail(journal, channels, attempt, code.into(), crate::supervise::chain(&error))
                .await;
        }
    };
    let parcel = match errand_agent::parcel::open(&engine.registry().parcels(), &digest) {
        Ok(parcel) => parcel,
        Err(error) => {
            let message = crate::supervise::chain(&error);
            return fail(journal, channels, attempt, ErrorCode::ParcelNotFound.into(), message)
                .await;
        }
    };
    let up = AttemptUp { attempt, locator: None, memory_enforced_by: None, setup: None };
    journal.record(&up.into(), &[])?;
    for (asked, listener) in &listeners {
        let bound = ListenerBound {
            listen_addr: asked.clone(),
            bound_addr: listener.bound_addr().to_string(),
        };
        journal.record(&BindListener { attempt, bound }.into(), &[])?;
    }
    journal.durable(journal.head_seq()).await?;
    channels.say(HelperReport::Began);
    let mut wakes = Wakes::new(engine, journal, parcel, (attempt, channels.tee.clone()))?;
    wakes.say(&format!("attempt {attempt} of the service began"));
    for (_, listener) in &listeners {
        wakes.say(&format!("listening at {}", listener.bound_addr()));
    }
    let result = serve(engine, journal, channels, &mut wakes, listeners).await;
    wakes.finish().await;
    result?;
    wakes.say(&format!("attempt {attempt} of the service ended"));
    let usage = ProcessUsage { wall: engine.now().since(started_at), ..ProcessUsage::default() };
    let end = EndAttempt {
        task: None,
        attempt,
        outcome: AttemptOutcome::Drained,
        exit_code: None,
        signal: None,
        usage,
    };
    Ok(journal.end(&end.into()).await.map(|_| ())?)
}

/// A listener's specification, and the address that it had in an earlier attempt.
type Wanted = (ListenerSpec, Option<String>);

fn addresses(run: &Run) -> Vec<Wanted> {
    let specs = run.spec.service.iter().flat_map(|spec| spec.listeners.clone());
    let earlier = run.service.iter().flat_map(|service| &service.listeners);
    specs.zip(earlier.map(|listener| listener.bound_addr.clone())).collect()
}

/// Binds all listeners; returns each with the address asked for. A listener of an earlier attempt
/// keeps its address if that is still free, so that its clients still find it.
async fn bind(wanted: &[Wanted]) -> Result<Vec<(String, BoundListener)>, Error> {
    let mut listeners = Vec::new();
    for (spec, earlier) in wanted {
        let kept = earlier.as_ref().map(|earlier| {
            let listen_addr = earlier.clone();
            ListenerSpec { listen_addr, ..spec.clone() }
        });
        let bound = match &kept {
            Some(kept) => BoundListener::bind(kept).await.ok(),
            None => None,
        };
        let listener = match bound {
            Some(listener) => listener,
            None => BoundListener::bind(spec).await?,
        };
        listeners.push((spec.listen_addr.clone(), listener));
    }
    Ok(listeners)
}

async fn fail(
    journal: &Journal,
    channels: &mut SupervisorChannels,
    attempt: u32,
    code: FailureCode,
    message: String,
) -> Result<(), Error> {
    let failure = Failure::new(code, message).for_good();
    let end = EndAttempt {
        task: None,
        attempt,
        outcome: AttemptOutcome::Failed(failure.clone()),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    journal.end(&end.into()).await?;
    let exit_code = errand_api::exit_code::ERRAND_FAILED;
    channels.say(HelperReport::Failed {
        code: failure.code.into(),
        message: failure.message,
        exit_code,
    });
    Ok(())
}

/// Wakes the agent until the service is asked to end; then waits for running wakes.
async fn serve(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    wakes: &mut Wakes,
    listeners: Vec<(String, BoundListener)>,
) -> Result<(), Error> {
    let (gate, mut requests) = ingress::gate();
    let (close, closing) = tokio::sync::watch::channel(false);
    let mut front = JoinSet::new();
    for (asked, listener) in listeners {
        let mut closing = closing.clone();
        let gate = gate.of(&asked);
        front.spawn(listener.serve(gate, async move {
            // An error means that the service is gone, which closes the listener as well.
            drop(closing.wait_for(|closed| *closed).await);
        }));
    }
    wakes.recover().await?;
    if !journal.look(|run, _| matches!(run.status, Status::Paused { .. })) {
        // Wakes that were requested while no supervisor ran.
        wakes.fire_asked().await?;
    }
    let grace = loop {
        // Slots that pass while it is paused count as missed afterwards.
        let is_held = journal.look(|run, _| matches!(run.status, Status::Paused { .. }));
        let next = if is_held { None } else { wakes.fire_due().await? };
        tokio::select! {
            lost = journal.lost() => return Err(JournalProblem::Lost { source: lost }.into()),
            () = os::until_due(next) => {}
            Some(request) = requests.recv() => {
                // Dropping the request answers 503.
                if !is_held {
                    wakes.fire_request(request).await?;
                }
            }
            ended = wakes.one_ended() => wakes.settle(ended).await?,
            changed = channels.control.changed() => {
                if changed.is_err() {
                    break DEFAULT_GRACE;
                }
                if let Some(grace) = obey(engine, journal, channels, wakes).await? {
                    break grace;
                }
            }
        }
    };
    close.send_replace(true);
    // Waiting requests are not begun: dropping them answers 503.
    requests.close();
    while requests.try_recv().is_ok() {}
    wind_down(engine, journal, channels, wakes, grace).await?;
    // Listeners end by themselves once their clients have the outcomes of their wakes.
    let answered = async { while front.join_next().await.is_some() {} };
    if tokio::time::timeout(ANSWER_LIMIT, answered).await.is_err() {
        front.shutdown().await;
    }
    Ok(())
}

/// Handles control changes and requests. Returns the grace period if the service is to end.
async fn obey(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    wakes: &mut Wakes,
) -> Result<Option<Duration>, Error> {
    let orders = channels.control.borrow_and_update().clone();
    wakes.look();
    let mut effects = answer_requests(engine, journal).await?;
    if !journal.look(|run, _| matches!(run.status, Status::Paused { .. })) {
        wakes.fire_asked().await?;
    }
    for effect in &effects {
        match effect {
            Effect::FreezeAgent => wakes.ask_all(&Pause::by_operator(None).into()).await?,
            Effect::ThawAgent => wakes.ask_all(&Resume { by: None }.into()).await?,
            Effect::StopAgent { .. } | Effect::SpawnAgent | Effect::Dispatch { .. } => {}
        }
    }
    if orders.is_interrupted() {
        let grace = if orders.interrupts > 1 { Duration::ZERO } else { DEFAULT_GRACE };
        let cancel = Cancel { cause: CancelCause::Interrupted, by: None, grace };
        effects.extend(journal.command(&cancel.into()).await?.effects);
    }
    let told = effects.iter().find_map(|effect| match effect {
        Effect::StopAgent { grace } => Some(*grace),
        Effect::SpawnAgent | Effect::FreezeAgent | Effect::ThawAgent | Effect::Dispatch { .. } => {
            None
        }
    });
    Ok(told.or(orders.is_drained().then_some(DEFAULT_GRACE)))
}

/// Waits for running wakes; those that are not over after `grace` are cancelled.
async fn wind_down(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    wakes: &mut Wakes,
    grace: Duration,
) -> Result<(), Error> {
    wakes.wind_down();
    let mut deadline = tokio::time::Instant::now() + grace;
    while wakes.is_busy() {
        tokio::select! {
            ended = wakes.one_ended() => wakes.settle(ended).await?,
            () = tokio::time::sleep_until(deadline) => {
                wakes.cancel_all().await?;
                break;
            }
            changed = channels.control.changed() => {
                // A shorter grace period, or a second interrupt.
                if changed.is_ok()
                    && let Some(grace) = obey(engine, journal, channels, wakes).await?
                {
                    deadline = deadline.min(tokio::time::Instant::now() + grace);
                }
            }
        }
    }
    while wakes.is_busy() {
        let ended = wakes.one_ended().await;
        wakes.settle(ended).await?;
    }
    Ok(())
}
