//! Removal of runs, the only explicit way to delete data.

use std::io::ErrorKind;
use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_agent::workspace::{self, Workspaces};
use errand_model::event::CancelCause;
use errand_model::run::{Cancel, Run};
use errand_model::{RunId, Timestamp};
use errand_store::{DeadLetterFilter, Filter, Namespaces, Page, Removal, Stored};
use tokio::time::Instant;

use crate::ask::{self, cancel};
use crate::error::{CodedError as _, IoFailure, RunEnding, RunLive, operation_error};
use crate::garbage::{self, Released};
use crate::off_thread::off_thread;
use crate::{Engine, logs, outbox, reconcile, sweep, tasks, wait};

operation_error! {
    /// Error: a run cannot be removed.
    pub enum Error {
        /// The run is live.
        Live(RunLive),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
        /// A command to a live run failed, or was not carried out in time.
        Asks(ask::Error),
        /// The workspace cannot be removed.
        Workspace(workspace::Error),
        /// Reports of the run cannot be removed.
        Outbox(outbox::Error),
        /// Its task cannot be removed.
        Tasks(tasks::Error),
        /// Names of blobs and parcels cannot be read.
        Garbage(garbage::Error),
        /// A file or process operation failed.
        Io(IoFailure),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Longest time for the supervisor of a run that is over to end.
const SUPERVISOR_LIMIT: Duration = Duration::from_secs(2);
/// Longest time for a supervisor that lives on to finish a run that is over.
const LAST_WORD: Duration = Duration::from_millis(100);
/// Interval of looks at a supervisor.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Runs read per page of a prune.
const PAGE: u32 = 500;

/// Removes a run that is over: files first, so that a full disk gets room, then dependent data,
/// then its own rows. Returns the blobs and parcels that it named, for [`crate::garbage::free`].
///
/// # Errors
///
/// [`crate::error::RunLive`] if the run is not over.
pub async fn remove(engine: &Engine, run_id: &RunId) -> Result<Released, Error> {
    let stored = removable(engine, run_id).await?;
    sweep::sweep_run(engine, run_id).await;
    let mut released = remove_rest(engine, &stored).await?;
    released.note(engine, run_id).await?;
    engine.store().remove(run_id, Removal::Terminal).await?;
    Ok(released)
}

/// Returns the run, if [`remove`] would remove it.
///
/// # Errors
///
/// [`crate::error::RunLive`] if the run is not over.
pub async fn removable(engine: &Engine, run_id: &RunId) -> Result<Stored, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    if stored.run.status.is_terminal() {
        Ok(stored)
    } else {
        Err(RunLive { run_id: run_id.clone() }.into())
    }
}

/// Removes everything that belongs to a run. The run itself goes last, so that an interrupted
/// removal can be repeated.
async fn remove_rest(engine: &Engine, stored: &Stored) -> Result<Released, Error> {
    let run = &stored.run;
    let mut released = Released::default();
    remove_files(engine, stored).await?;
    if run.coordination.is_some() {
        remove_steps(engine, &run.id, &mut released).await?;
    }
    outbox::forget(engine, run.spec.namespace.as_deref(), &run.id).await?;
    tasks::forget(engine, run).await?;
    Ok(released)
}

/// Removes the runs that were steps of a coordinator.
async fn remove_steps(
    engine: &Engine,
    coordinator: &RunId,
    released: &mut Released,
) -> Result<(), Error> {
    let parent_run_id = Some(coordinator.clone());
    let filter = Filter { parent_run_id, ..Filter::default() };
    let mut page = Page { after: None, limit: PAGE };
    loop {
        let (steps, _) = engine.store().list(&filter, &page).await?;
        let Some(last) = steps.last() else { return Ok(()) };
        page.after = Some(last.run.id.clone());
        for step in steps.iter().filter(|step| step.run.spec.member.is_some()) {
            match Box::pin(remove(engine, &step.run.id)).await {
                Ok(of_step) => released.extend(of_step),
                // A step that is gone or still live is skipped.
                Err(Error::Live(_)) => {}
                Err(error) if matches!(error.store(), Some(errand_store::Error::NoRun { .. })) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes a run even if it is live, or its record is damaged: its processes are killed first.
///
/// # Errors
///
/// If a process of it is still alive, or the registry fails.
pub async fn remove_by_force(engine: &Engine, run_id: &RunId) -> Result<Released, Error> {
    let at_once = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO };
    match cancel(engine, run_id, &at_once).await {
        Ok(stored) => {
            let mut released = remove_rest(engine, &stored).await?;
            released.note(engine, run_id).await?;
            engine.store().remove(run_id, Removal::Any).await?;
            Ok(released)
        }
        Err(error)
            if matches!(
                error.store(),
                Some(errand_store::Error::Full { .. } | errand_store::Error::Damaged { .. })
            ) =>
        {
            let log = engine.registry().run_log(run_id);
            let ended = engine.surroundings().targets.end_all(run_id, Duration::ZERO).await;
            ended.map_err(IoFailure::of("end the processes of", log))?;
            let (engine_there, run) = (engine.clone(), run_id.clone());
            off_thread(move || remove_known_files(&engine_there, &run)).await?;
            let mut released = Released::default();
            // Steps that are live or damaged, too, stay.
            drop(remove_steps(engine, run_id, &mut released).await);
            released.note(engine, run_id).await?;
            engine.store().remove(run_id, Removal::Any).await?;
            Ok(released)
        }
        Err(error) => Err(error.into()),
    }
}

/// Plan of a prune.
#[derive(Debug, Default)]
pub struct PrunePlan {
    /// Runs to be removed, oldest last.
    pub runs: Vec<Stored>,
    /// Number of dead letters that stay, since they were neither redriven nor discarded.
    pub dead_letters: usize,
}

/// Returns the runs of those namespaces that ended before `before`, except dead letters that are
/// not settled. A step of a coordinator stays as long as the coordinator.
///
/// # Errors
///
/// If the registry fails.
pub async fn plan_prune(
    engine: &Engine,
    whose: &Namespaces,
    before: Timestamp,
) -> Result<PrunePlan, Error> {
    let namespaces = whose.clone();
    let filter = Filter { namespaces, ended_before: Some(before), ..Filter::default() };
    let mut plan = PrunePlan::default();
    let mut page = Page { after: None, limit: PAGE };
    loop {
        let (runs, _) = engine.store().list(&filter, &page).await?;
        let Some(last) = runs.last() else { return Ok(plan) };
        page.after = Some(last.run.id.clone());
        for stored in runs {
            match fate(engine, &stored, before).await? {
                RemovalOutcome::Forgotten => plan.runs.push(stored),
                RemovalOutcome::OpenDeadLetter => plan.dead_letters += 1,
                RemovalOutcome::Needed => {}
            }
        }
    }
}

/// Decision about a run in a prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemovalOutcome {
    /// The run is removed.
    Forgotten,
    /// A dead letter, which a person has to redrive or discard first.
    OpenDeadLetter,
    /// The run, or a coordinator that it is a step of, is live or ended too recently.
    Needed,
}

/// Decides about a run in a prune of runs that ended before `before`.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn fate(
    engine: &Engine,
    stored: &Stored,
    before: Timestamp,
) -> Result<RemovalOutcome, Error> {
    let is_old = |run: &Run| run.status.ended_at().is_some_and(|ended_at| ended_at < before);
    if !stored.run.status.is_terminal() || !is_old(&stored.run) {
        return Ok(RemovalOutcome::Needed);
    }
    let mut above = coordinator_of(&stored.run);
    while let Some(run_id) = above {
        let Some(coordinator) = engine.store().load(&run_id).await? else { break };
        if !is_old(&coordinator.run) {
            return Ok(RemovalOutcome::Needed);
        }
        above = coordinator_of(&coordinator.run);
    }
    if stored.run.dead_letter && is_open(engine, stored).await? {
        return Ok(RemovalOutcome::OpenDeadLetter);
    }
    Ok(RemovalOutcome::Forgotten)
}

/// Returns the coordinator that a run is a step of.
fn coordinator_of(run: &Run) -> Option<RunId> {
    run.spec.member.as_ref()?;
    run.spec.parent_run_id.clone()
}

/// Returns true if a dead letter is neither redriven nor discarded.
async fn is_open(engine: &Engine, stored: &Stored) -> Result<bool, Error> {
    let run_id = Some(stored.run.id.clone());
    let filter = DeadLetterFilter { run_id, ..DeadLetterFilter::default() };
    let found = engine.store().dead_letters(&filter, &Page { after: None, limit: 1 }).await?;
    Ok(!found.is_empty())
}

async fn remove_files(engine: &Engine, stored: &Stored) -> Result<(), Error> {
    supervisor_gone(engine, stored).await;
    let registry = engine.registry();
    let workspaces = Workspaces::new(registry.workspaces());
    let (engine, run_id) = (engine.clone(), stored.run.id.clone());
    off_thread(move || {
        workspaces.remove(&run_id)?;
        remove_known_files(&engine, &run_id)
    })
    .await
}

/// Waits until the run's supervisor has ended: a run is over in the registry a moment before its
/// files are written, and removed files must stay removed.
async fn supervisor_gone(engine: &Engine, stored: &Stored) {
    let Some(last) = stored.run.attempts.last() else { return };
    let ended_at = stored.run.status.ended_at().unwrap_or_else(|| engine.now());
    if engine.now().since(ended_at) > SUPERVISOR_LIMIT {
        return;
    }
    // The supervisor of a wake is its service's, and lives on: it only gets a moment.
    let limit = if stored.run.spec.parent_run_id.is_some() { LAST_WORD } else { SUPERVISOR_LIMIT };
    let deadline = Instant::now() + limit;
    let is_there =
        || last.host == engine.holder().host && os::liveness(&last.supervisor) == Liveness::Alive;
    while is_there() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn remove_known_files(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    let registry = engine.registry();
    let log = registry.run_log(run_id);
    errand_agent::log::remove(&log)
        .and_then(|()| logs::forget(registry, run_id))
        .map_err(IoFailure::of("remove", log))?;
    for folder in [registry.workspace(run_id), registry.run_scratch(run_id)] {
        gone(std::fs::remove_dir_all(&folder)).map_err(IoFailure::of("remove", folder))?;
    }
    let files = [
        registry.run_socket(run_id, &engine.surroundings().runtime_dir),
        registry.run_session(run_id),
        registry.run_final(run_id),
        registry.run_reserve(run_id),
        registry.run_kept(run_id),
        registry.run_events(run_id),
        registry.run_events_damaged(run_id),
        // The record goes last: as long as it exists, a rebuild of the registry knows the run.
        registry.run_record(run_id),
    ];
    for file in files {
        gone(std::fs::remove_file(&file)).map_err(IoFailure::of("remove", file))?;
    }
    Ok(())
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
