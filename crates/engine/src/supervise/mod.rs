//! Supervision of one run: attempt after attempt, until it is over.
//!
//! The foreground command, the detached helper, a worker's slot and a service's wake all supervise
//! runs here; they differ only in the source of orders and in the watchers of the output.

mod attempt;
mod attempt_code;
mod backend;
mod blame;
mod coordinator;
mod deadline;
mod dispatch;
mod door;
mod event;
mod image;
mod orphaned;
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
mod skills;
mod start;
mod starting;
mod task_end;
mod task_news;
mod tools;
mod turn;

use std::pin::Pin;

use errand_agent::log::LogStream;
use errand_agent::target::Chunk;
use errand_api::error_code::ErrorCode;
use errand_model::event::CancelCause;
use errand_model::event::RunKind;
use errand_model::run::{Expire, HandBack, Run, Status};
use errand_model::{RunId, Timestamp};
use errand_store::{Lease, Stored};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) use outcome::of_preparation;
pub use outcome::{chain, retry_note};
pub(crate) use requests::answer as answer_requests;
pub use signals::{ControlState, HangUp, SignalListener};
pub(crate) use start::start;

use crate::family;
use crate::journal::Journal;
use crate::launch::HelperReport;
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
    pub ready: Option<tokio::sync::oneshot::Sender<HelperReport>>,
}

impl SupervisorChannels {
    /// Reports readiness, the first time that this is called.
    pub(crate) fn say(&mut self, ready: HelperReport) {
        if let Some(listener) = self.ready.take() {
            // A receiver that is gone finds it in the record.
            drop(listener.send(ready));
        }
    }

    /// Shows one line about the run to the second receiver of its output.
    fn note(&self, text: &str) {
        if let Some(tee) = &self.tee {
            let chunk =
                Chunk { stream: LogStream::System, bytes: format!("{text}\n").into_bytes() };
            // A receiver that is behind finds it in the log.
            drop(tee.try_send(chunk));
        }
    }
}

/// Run to supervise, with its lease.
#[derive(Clone, Debug)]
pub struct LeasedRun {
    /// Run as of the time its lease was taken.
    pub stored: Stored,
    /// Lease.
    pub lease: Lease,
    /// Term of the lease.
    pub term: Term,
}

/// Carries a run on under `lease` until it is over, or handed back, and then its successor after a
/// handover. Returns the last of these runs.
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
        let charge = LeasedRun { stored, lease, term: Term::for_life() };
        let (run, successor) = carry_through(engine, charge, &mut channels).await?;
        let Some(successor) = successor else { break };
        engine.store().sync_files(&run.id).await?;
        channels.note(&format!("handed over from run {} to run {}", run.id, successor.0));
        (run_id, lease) = successor;
    }
    let stored = stored::load(engine, &run_id).await?;
    begin_family(engine, &stored.run).await?;
    Ok(stored)
}

/// Starts a helper for a successor that is the top of a family, since no worker claims it.
async fn begin_family(engine: &Engine, run: &Run) -> Result<(), Error> {
    let Some(handoff) = run.handoff.as_deref() else { return Ok(()) };
    let Some(next) = engine.store().load(&handoff.run_id).await? else { return Ok(()) };
    if family::is_top(&next.run) && next.run.attempts.is_empty() {
        launch::carry_on(engine, &next.run, next.epoch)?;
    }
    Ok(())
}

/// Carries a loaded run on, under a lease that may end. A run that any worker may claim gets one
/// attempt: if it is not over then, it is back in the queue. Returns the run in the state in which
/// this process left it.
///
/// # Errors
///
/// As [`supervise`].
pub async fn carry_on(
    engine: &Engine,
    charge: LeasedRun,
    mut channels: SupervisorChannels,
) -> Result<Run, Error> {
    let (run, successor) = carry_through(engine, charge, &mut channels).await?;
    if let Some((run_id, lease)) = successor {
        // A supervisor of one run leaves the successor to a helper.
        launch::hand_over(engine, &run_id, &lease).await?;
    }
    Ok(run)
}

/// A run that was carried through, with its successor and that one's lease if the run was handed over.
type CarriedRun = (Run, Option<(RunId, Lease)>);

/// Carries one run on. Also returns its successor, if this process holds that.
fn carry_through<'a>(
    engine: &'a Engine,
    charge: LeasedRun,
    channels: &'a mut SupervisorChannels,
) -> BoxFuture<'a, Result<CarriedRun, Error>> {
    Box::pin(async move {
        let LeasedRun { stored, mut lease, term } = charge;
        let run_id = &stored.run.id.clone();
        let kind = stored.run.spec.kind;
        if stored.run.spec.placement.is_some() {
            // An error is reported by the attempt that needs the parcel.
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
            journal.write_unrecorded();
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
            // Each attempt has a lease of its own, so that no event of an older one is ever accepted.
            let run = journal.look(|run, _| run.clone());
            lease = lease::take(engine, &run, journal.epoch()).await?;
            journal = journal.reopen(stored::load(engine, run_id).await?, &lease).await?;
        }
        channels.say(HelperReport::Began);
        let is_left = |run: &Run| run.is_at_rest() || lease::place_of(run).is_some();
        if journal.look(|run, _| is_left(run))
            && let Ok(Some(left)) = engine.store().load(run_id).await
            && left.open_requests > 0
        {
            // Requests of its last moments, which the supervisor did not read. After a failure the next
            // reconciler answers them.
            drop(reconcile::reconcile(engine, left).await);
        }
        Ok((journal.look(|run, _| run.clone()), journal.held_successor()))
    })
}

/// Supervises a run as a task of its own: a service's supervisor supervises its wakes like this.
pub(crate) fn supervise_boxed(
    engine: Engine,
    run_id: RunId,
    lease: Lease,
    channels: SupervisorChannels,
) -> Pin<Box<dyn Future<Output = Result<Stored, Error>> + Send>> {
    Box::pin(async move { supervise(&engine, &run_id, lease, channels).await })
}

/// Longest time that a claimed run keeps its slot while it only waits: another run may need the
/// slot.
const HELD_FOR: std::time::Duration = std::time::Duration::from_millis(50);

/// Step after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// No step: the run is over, or another process will continue it.
    Over,
    /// Another attempt.
    Attempt,
}

async fn under_lease(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<Next, Error> {
    if journal.look(|run, _| run.outlives_supervisor()) {
        attempt::adopt(engine, journal, channels).await?;
        return Ok(journal.look(|run, _| after_attempt(run)));
    }
    let is_at_rest = || journal.look(|run, _| run.is_at_rest());
    let began_at_rest = is_at_rest();
    requests::answer(engine, journal).await?;
    let is_over = turn::until_turn(engine, journal, channels).await? == Next::Over
        || until_due(engine, journal, channels).await? == Next::Over;
    if is_over {
        if began_at_rest && is_at_rest() {
            // The run was paused before this process took its lease.
            journal.keep_record();
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
        || run.outlives_supervisor()
        || run.is_at_rest()
        || run.is_coordinating()
        || lease::place_of(run).is_some();
    if is_done { Next::Over } else { Next::Attempt }
}

/// Records the end of an attempt that failed because the disk is full.
///
/// # Errors
///
/// `error`, if no attempt is live, or its end cannot be recorded either.
async fn end_on_full_disk(
    journal: &Journal,
    channels: &mut SupervisorChannels,
    error: Error,
) -> Result<Next, Error> {
    let failure = of_preparation(&error);
    match journal.end_on_full_disk(failure.clone()).await {
        Ok(true) => {
            channels.say(journal.look(|run, _| outcome::report_of_failed_start(run, failure)));
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
            // The run rests until a person resumes it, without a waiting process.
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
            // Ordered to end: another process makes the next attempt of a service.
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
                // The consequences are in the run's state.
                journal.command(&Expire {}.into()).await?;
            }
        }
    }
}

/// Returns whether any worker may claim the run.
fn is_placed(journal: &Journal) -> bool {
    journal.look(|run, _| run.spec.placement.is_some())
}

/// Releases a run without an agent process: back into the queue, not to be claimed before
/// `not_before`. A run outside the queue is continued by the next reconciler after the end of this
/// process.
async fn hand_back(journal: &Journal, not_before: Timestamp) -> Result<Next, Error> {
    if is_placed(journal) {
        journal.command(&HandBack { not_before }.into()).await?;
    }
    Ok(Next::Over)
}

/// Waits until the deadline of an approval or a question; for ever without a deadline.
async fn expiry(engine: &Engine, journal: &Journal) {
    // A run that is being ended accepts no answers.
    let deadline =
        journal.look(|run, _| run.answer_deadline().filter(|_| run.cancel_requested.is_none()));
    errand_agent::os::until_due(deadline.map(|at| at.max(engine.now()))).await;
}
