//! Supervising one run: attempt after attempt, until it is over.
//!
//! The foreground command, the detached helper, a worker's slot and a service's wake all do this;
//! they differ only in where orders come from and who else wants the output.

mod attempt;
mod attempt_code;
mod backend;
mod blame;
mod coordinator;
mod deadline;
mod event;
mod outcome;
mod prepare;
mod produced;
mod replay;
mod requests;
mod running;
mod secrets;
pub mod service;
mod session;
mod signals;
mod start;
mod turn;

use std::pin::Pin;

use errand_agent::log::Stream;
use errand_agent::target::Chunk;
use errand_api::error_code::ErrorCode;
use errand_model::event::CancelCause;
use errand_model::event::RunKind;
use errand_model::run::{Expire, HandBack, Run, Status};
use errand_model::{RunId, Timestamp};
use errand_store::{Lease, Stored};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) use outcome::of_preparation;
pub use outcome::{chain, retry_note};
pub(crate) use requests::answer as answer_requests;
pub(crate) use secrets::spoken as spoken_secrets;
pub use signals::{ControlState, HangUp, SignalListener};
pub(crate) use start::start;
pub(crate) use turn::SUPERSEDED_GRACE;

use crate::family;
use crate::journal::Journal;
use crate::launch::Ready;
use crate::lease::Term;
use crate::{Engine, Error, launch, lease, parcels, reconcile, stored};

/// Channels of a supervisor: signals in, the agent's output and readiness out.
#[derive(Debug)]
pub struct SupervisorChannels {
    /// Signals to this process, and shutdowns of a worker or a service that it belongs to.
    pub control: watch::Receiver<ControlState>,
    /// Second receiver of the agent's output as it comes.
    pub tee: Option<mpsc::Sender<Chunk>>,
    /// Receiver of the news that the first attempt began, or why it did not.
    pub ready: Option<tokio::sync::oneshot::Sender<Ready>>,
}

impl SupervisorChannels {
    /// Reports readiness, the first time that this is called.
    pub(crate) fn say(&mut self, ready: Ready) {
        if let Some(listener) = self.ready.take() {
            // A receiver that is gone finds it in the record.
            drop(listener.send(ready));
        }
    }

    /// Shows one line about the run to the second receiver of its output.
    fn note(&self, text: &str) {
        if let Some(tee) = &self.tee {
            let chunk = Chunk { stream: Stream::System, bytes: format!("{text}\n").into_bytes() };
            // A receiver that is behind finds it in the log.
            drop(tee.try_send(chunk));
        }
    }
}

/// A run that is to be carried on, and the right to do so.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The run as it was when its lease was taken.
    pub stored: Stored,
    /// The lease.
    pub lease: Lease,
    /// Until when it is known to be in force.
    pub term: Term,
}

/// Carries a run on under `lease` until it is over, or handed back, and then the run that it was handed
/// over to. Returns the last one as it is then.
///
/// # Errors
///
/// If the registry fails for good, or another process took the run over; no process of the run is
/// left in either case.
pub async fn supervise(
    engine: &Engine,
    run_id: &RunId,
    lease: Lease,
    channels: SupervisorChannels,
) -> Result<Stored, Error> {
    let (mut run_id, mut lease, mut channels) = (run_id.clone(), lease, channels);
    loop {
        let stored = stored::load(engine, &run_id).await?;
        let charge = Charge { stored, lease, term: Term::for_life() };
        let (run, successor) = Box::pin(carry_through(engine, charge, &mut channels)).await?;
        let Some(successor) = successor else { break };
        engine.store().sync_files(&run.id).await?;
        channels.note(&format!("handed over from run {} to run {}", run.id, successor.0));
        (run_id, lease) = successor;
    }
    let stored = stored::load(engine, &run_id).await?;
    begin_family(engine, &stored.run).await?;
    Ok(stored)
}

/// Where the run was handed over to a coordinator that nobody placed, somebody has to work for that.
async fn begin_family(engine: &Engine, run: &Run) -> Result<(), Error> {
    let Some(handoff) = run.handoff.as_deref() else { return Ok(()) };
    let Some(next) = engine.store().load(&handoff.run_id).await? else { return Ok(()) };
    if family::is_top(&next.run) && next.run.attempts.is_empty() {
        launch::carry_on(engine, &next.run, next.epoch)?;
    }
    Ok(())
}

/// The same for a run at hand, under a lease that may run out. One that any worker may claim is
/// carried on for one attempt: if it is not over then, it is back in the queue. Returns the run as
/// this process left it.
///
/// # Errors
///
/// As [`supervise`].
pub async fn carry_on(
    engine: &Engine,
    charge: Charge,
    mut channels: SupervisorChannels,
) -> Result<Run, Error> {
    let (run, successor) = Box::pin(carry_through(engine, charge, &mut channels)).await?;
    if let Some((run_id, lease)) = successor {
        // Whoever carries on one run only leaves the other one to a helper.
        launch::hand_over(engine, &run_id, &lease).await?;
    }
    Ok(run)
}

/// Carries on one run. Also gives the run that it was handed over to, if this process holds that.
async fn carry_through(
    engine: &Engine,
    charge: Charge,
    channels: &mut SupervisorChannels,
) -> Result<(Run, Option<(RunId, Lease)>), Error> {
    let Charge { stored, mut lease, term } = charge;
    let run_id = &stored.run.id.clone();
    let kind = stored.run.spec.kind;
    if stored.run.spec.placement.is_some() {
        // What is wrong with it is said by the attempt that needs it.
        drop(parcels::fetch(engine, &stored.run.spec.agent.digest));
    }
    // Schedules follow the wall clock; limits, delays and durations must not.
    let engine = &if kind == RunKind::Service {
        engine.clone()
    } else {
        engine.steadied(stored::last_at(engine, &stored).await?)
    };
    let mut journal = Journal::open(engine, stored, &lease, term).await?;
    loop {
        let mut writer = JoinSet::new();
        writer.spawn(journal.clone().write());
        let next = under_lease(engine, &journal, channels).await;
        writer.shutdown().await;
        let next = match next {
            Err(error) if error.code() == ErrorCode::DiskFull => {
                end_on_full_disk(&journal, channels, error).await?
            }
            next => next?,
        };
        if next == Next::Over {
            break;
        }
        if let Some(note) = journal.look(|run, _| outcome::retry_of(run)) {
            channels.note(&note);
        }
        // Every attempt has a lease of its own, so that nothing of an older one is ever taken in.
        let run = journal.look(|run, _| run.clone());
        lease = lease::take(engine, &run, journal.epoch()).await?;
        journal = journal.reopen(stored::load(engine, run_id).await?, &lease).await?;
    }
    channels.say(Ready::Began);
    let is_left = |run: &Run| run.is_at_rest() || lease::place_of(run).is_some();
    if journal.look(|run, _| is_left(run))
        && let Ok(Some(left)) = engine.store().load(run_id).await
        && left.open_requests > 0
    {
        // Asked in its last moments, when nobody read it any more. Whoever looks next does it else.
        drop(Box::pin(reconcile::reconcile(engine, left)).await);
    }
    Ok((journal.look(|run, _| run.clone()), journal.held_successor()))
}

/// The same as a task of its own: the wakes of a service are supervised by its supervisor.
pub(crate) fn supervise_boxed(
    engine: Engine,
    run_id: RunId,
    lease: Lease,
    channels: SupervisorChannels,
) -> Pin<Box<dyn Future<Output = Result<Stored, Error>> + Send>> {
    Box::pin(async move { supervise(&engine, &run_id, lease, channels).await })
}

/// A run that any worker may claim is not kept for longer while nothing can be done: its slot is
/// somebody else's.
const HELD_FOR: std::time::Duration = std::time::Duration::from_millis(50);

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing: the run is over, or others will carry it on.
    Over,
    /// Another attempt.
    Attempt,
}

async fn under_lease(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<Next, Error> {
    let is_at_rest = || journal.look(|run, _| run.is_at_rest());
    let began_at_rest = is_at_rest();
    requests::answer(engine, journal).await?;
    let is_over = turn::until_turn(engine, journal, channels).await? == Next::Over
        || until_due(engine, journal, channels).await? == Next::Over;
    if is_over {
        if began_at_rest && is_at_rest() {
            // It was held before this process came to carry it on.
            engine.store().give_back(journal.run_id(), journal.epoch()).await?;
        }
        return Ok(Next::Over);
    }
    if secrets::awaited(engine, journal, channels).await? {
        return Ok(Next::Over);
    }
    let (kind, is_coordinator) = journal.look(|run, _| (run.spec.kind, run.spec.plan.is_some()));
    match kind {
        RunKind::Job | RunKind::Heartbeat if is_coordinator => {
            coordinator::begin(engine, journal).await?;
        }
        RunKind::Job | RunKind::Heartbeat => attempt::run(engine, journal, channels).await?,
        RunKind::Service => service::run(engine, journal, channels).await?,
    }
    Ok(journal.look(|run, _| after_attempt(run)))
}

fn after_attempt(run: &Run) -> Next {
    let is_done = run.status.is_terminal()
        || run.is_at_rest()
        || run.is_coordinating()
        || lease::place_of(run).is_some();
    if is_done { Next::Over } else { Next::Attempt }
}

/// Records the end of an attempt that could not be carried on, since the disk is full.
///
/// # Errors
///
/// `error`, if there is no attempt to end, or the end cannot be recorded either.
async fn end_on_full_disk(
    journal: &Journal,
    channels: &mut SupervisorChannels,
    error: Error,
) -> Result<Next, Error> {
    let failure = of_preparation(&error);
    match journal.end_on_full_disk(failure.clone()).await {
        Ok(true) => {
            let exit_code = outcome::exit_code_of(&failure.code);
            channels.say(Ready::Failed {
                code: failure.code.into(),
                message: failure.message,
                exit_code,
            });
            Ok(journal.look(|run, _| after_attempt(run)))
        }
        Ok(false) | Err(_) => Err(error),
    }
}

/// Waits, without an agent process, until the next attempt is due.
async fn until_due(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<Next, Error> {
    loop {
        let due_at: Option<Timestamp> = journal.look(|run, _| match run.status {
            Status::Pending { not_before, .. } => Some(not_before),
            Status::Running { .. } => Some(Timestamp::from_millis(i64::MAX)),
            // It rests until a person lets it go on, without a process that waits for that.
            Status::Paused { .. } => None,
            Status::Completed { .. } | Status::Failed { .. } | Status::Cancelled { .. } => None,
        });
        let Some(due_at) = due_at else { return Ok(Next::Over) };
        let now = engine.now();
        if turn::queue_deadline(journal).is_some_and(|deadline| now >= deadline) {
            return turn::cancel(journal, CancelCause::QueueTimeout).await;
        }
        let is_service = journal.look(|run, _| run.spec.kind == RunKind::Service);
        if is_service && channels.control.borrow().is_drained() {
            // Told to end: the next attempt of a service is for another process.
            return hand_back(journal, now).await;
        }
        if now >= due_at {
            return Ok(Next::Attempt);
        }
        let orders = channels.control.borrow_and_update().clone();
        if orders.is_interrupted() {
            return turn::cancel(journal, CancelCause::Interrupted).await;
        }
        if orders.is_drained() || (due_at.since(now) > HELD_FOR && is_placed(journal)) {
            return hand_back(journal, now).await;
        }
        tokio::select! {
            changed = channels.control.changed() => {
                if changed.is_err() {
                    return Ok(Next::Over);
                }
                requests::answer(engine, journal).await?;
            }
            () = tokio::time::sleep(due_at.since(now)) => {}
            () = expiry(engine, journal) => {
                // What it leads to is in the run's state.
                journal.command(&Expire {}.into()).await?;
            }
        }
    }
}

/// Whether any worker may claim the run.
fn is_placed(journal: &Journal) -> bool {
    journal.look(|run, _| run.spec.placement.is_some())
}

/// Lets go of a run that has no agent process: back into the queue, not to be claimed before
/// `not_before`. One that is not placed is carried on by whoever reconciles it once this process is
/// gone.
async fn hand_back(journal: &Journal, not_before: Timestamp) -> Result<Next, Error> {
    if is_placed(journal) {
        journal.command(&HandBack { not_before }.into()).await?;
    }
    Ok(Next::Over)
}

/// Waits until an approval or a question is out of time; for ever if none has a deadline.
async fn expiry(engine: &Engine, journal: &Journal) {
    // A run that is being ended answers nothing any more.
    let deadline =
        journal.look(|run, _| run.answer_deadline().filter(|_| run.cancel_requested.is_none()));
    match deadline {
        Some(at) => errand_agent::os::until_wall_clock(at.max(engine.now())).await,
        None => std::future::pending().await,
    }
}
