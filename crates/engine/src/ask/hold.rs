//! Commands of an operator that pause a run, resume it and raise its limits.

use std::time::Duration;

use errand_model::budget::{LimitName, Scope};
use errand_model::event::PauseReason;
use errand_model::price::Day;
use errand_model::run::{Command, Denied, Pause, Raise, Rejection, Resume, Run, Status};
use errand_model::{ProcessIdentity, RunId};
use errand_store::{RequestKind, Stored};
use tokio::time::Instant;

use super::{TRIES, ask};
use crate::people::{self, Unanswerable};
use crate::wait::{self, Waited};
use crate::{Engine, Error, environment, parcels, reconcile, unheld};

/// Longest wait for a supervisor to carry the command out.
const LIMIT: Duration = Duration::from_secs(30);
/// Pause between two checks that processes have stopped: they stop at once, or never.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Pauses a run: once this returns, no process of the run executes. A paused run stays paused.
///
/// # Errors
///
/// [`Unanswerable::RunOver`] if it is over; [`Error::StillLive`] if its supervisor does not pause
/// it.
pub async fn pause(engine: &Engine, run_id: &RunId, by: Option<String>) -> Result<Stored, Error> {
    let command: Command = Pause { reason: PauseReason::Operator, by: by.clone() }.into();
    let kind = RequestKind::Pause { by: by.clone() };
    let held = bring_about(engine, run_id, (&command, &kind), is_held).await?;
    if let Some(lease) = held.lease.as_ref().filter(|lease| reconcile::is_here(engine, lease)) {
        let deadline = Instant::now() + LIMIT;
        while is_held(&held.run) && !is_frozen(engine, &held.run, &lease.holder.process).await? {
            if Instant::now() > deadline {
                return Err(still(&held));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    for child in children(&held.run) {
        if is_held(&held.run) {
            let paused = Box::pin(pause(engine, &child, by.clone())).await;
            paused.map(drop).or_else(gone)?;
        }
    }
    Ok(held)
}

/// Returns whether nothing of a run executes that `supervisor` supervises.
async fn is_frozen(
    engine: &Engine,
    run: &Run,
    supervisor: &ProcessIdentity,
) -> Result<bool, Error> {
    let Some(target) = engine.target_of(run) else { return Ok(true) };
    let path = engine.registry().run_log(&run.id);
    target.is_frozen(&run.id, supervisor).await.map_err(Error::io("look at the processes of", path))
}

/// Returns the children of a coordinator that are not over.
fn children(run: &Run) -> Vec<RunId> {
    let coordination = run.coordination.iter();
    coordination.flat_map(|it| it.live.values()).map(|child| child.run_id.clone()).collect()
}

/// Ignores errors for a child that is over or runs already: another process was faster.
fn gone(error: Error) -> Result<(), Error> {
    let is_gone = matches!(
        error,
        Error::Unanswerable(Unanswerable::RunOver { .. } | Unanswerable::NotPaused { .. })
            | Error::Store(errand_store::Error::NoRun { .. })
    );
    if is_gone { Ok(()) } else { Err(error) }
}

/// Begins to pause a child of a coordinator. Returns whether it is paused already, or over.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn begin_pause(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    let command: Command = Pause { reason: PauseReason::Operator, by: None }.into();
    begin(engine, run_id, (command, RequestKind::Pause { by: None }), is_held).await
}

/// Begins to resume a child of a coordinator. Returns whether it runs already, or is over.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn begin_resume(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    let goes_on =
        |run: &Run| !matches!(run.status, Status::Paused { reason: PauseReason::Operator, .. });
    let command: Command = Resume { by: None }.into();
    begin(engine, run_id, (command, RequestKind::Resume { by: None }), goes_on).await
}

async fn begin(
    engine: &Engine,
    run_id: &RunId,
    (command, kind): (Command, RequestKind),
    is_so: impl Fn(&Run) -> bool + Send + Sync,
) -> Result<bool, Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(true) };
    if stored.run.status.is_terminal() || is_so(&stored.run) {
        return Ok(true);
    }
    let asked = if unheld::is_free(&stored) {
        unheld::command(engine, &stored, &command).await.map(|_| true)
    } else {
        ask(engine, &stored, kind).await.map(|()| false)
    };
    match asked {
        // The next look reads the new state.
        Err(error) if unheld::is_race(&error) => Ok(false),
        Err(Error::Rejected(_)) => Ok(true),
        asked => asked,
    }
}

/// Resumes a run that was paused, or that waits for secrets. It may still wait for a person.
///
/// # Errors
///
/// [`Unanswerable::NotPaused`] if nobody paused it, [`Unanswerable::RunOver`] if it is over;
/// [`Rejection::BudgetSpent`] if a limit paused it that leaves as little room as before.
/// [`Error::AwaitsSecrets`] if it waits for secrets that are missing here too.
pub async fn resume(engine: &Engine, run_id: &RunId, by: Option<String>) -> Result<Stored, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    people::over(&stored.run)?;
    if reconcile::rests_until_boot(engine, &stored) {
        return bring_back(engine, &stored, by).await;
    }
    if awaits_secrets(&stored.run) {
        return with_secrets(engine, &stored, by).await;
    }
    if !is_held(&stored.run) {
        let (run_id, status) = (run_id.clone(), stored.run.status.name());
        return Err(Unanswerable::NotPaused { run_id, status }.into());
    }
    let command: Command = Resume { by: by.clone() }.into();
    // A budget that is still spent is reported at once.
    stored.run.decide(&command, engine.now())?;
    refuse_spent_day(engine, &stored.run).await?;
    let kind = RequestKind::Resume { by };
    // A coordinator resumes the children that it paused.
    bring_about(engine, run_id, (&command, &kind), |run| !is_held(run)).await
}

/// Refuses to resume a run that was paused by a spent limit of the day.
async fn refuse_spent_day(engine: &Engine, run: &Run) -> Result<(), Error> {
    if run.caps(Scope::Day).is_unlimited() {
        return Ok(());
    }
    let today = Day::of(engine.now());
    let standing = engine.store().day_standing(&run.spec.agent_key(), today).await?;
    match run.day_still_spent(standing.used) {
        Some(Denied { limit, used, allowed }) => {
            let run_id = run.id.clone();
            Err(Rejection::BudgetSpent { run_id, limit, used, allowed }.into())
        }
        None => Ok(()),
    }
}

/// Resumes a service whose supervisor was ended by a signal.
async fn bring_back(engine: &Engine, stored: &Stored, by: Option<String>) -> Result<Stored, Error> {
    ask(engine, stored, RequestKind::Resume { by }).await?;
    let lives = |stored: &Stored| {
        stored.run.status.is_terminal() || matches!(stored.run.status, Status::Running { .. })
    };
    let deadline = Some(Instant::now() + LIMIT);
    match wait::until(engine, &stored.run.id, deadline, lives).await? {
        Waited::Reached(stored) => Ok(*stored),
        Waited::TimedOut(stored) => Err(still(&stored)),
    }
}

/// Resumes a run that waits for secrets, or the waiting children of a coordinator.
async fn with_secrets(
    engine: &Engine,
    stored: &Stored,
    by: Option<String>,
) -> Result<Stored, Error> {
    let run = &stored.run;
    if run.coordination.is_some() {
        for child in children(run) {
            let child = wait::load(engine, &child).await?;
            if awaits_secrets(&child.run) {
                let resumed = Box::pin(with_secrets(engine, &child, by.clone())).await;
                resumed.map(drop).or_else(gone)?;
            }
        }
        return wait::load(engine, &run.id).await;
    }
    // If another process makes the attempt, only that process knows its secrets.
    if run.spec.placement.is_none() {
        let parcel = parcels::open(engine, &run.spec.agent.digest)?;
        let names = environment::lacking(engine.surroundings(), &parcel.agent);
        if !names.is_empty() {
            return Err(Error::AwaitsSecrets { run_id: run.id.clone(), names });
        }
    }
    let command: Command = Resume { by: by.clone() }.into();
    let kind = RequestKind::Resume { by };
    bring_about(engine, &run.id, (&command, &kind), |run| !awaits_secrets(run)).await
}

/// Raises limits of a run, paused or not. Limits that are as high already stay unchanged.
///
/// # Errors
///
/// [`Error::Rejected`] for a limit that the run does not have, or that is higher already;
/// [`Unanswerable::RunOver`] if it is over.
pub async fn raise(
    engine: &Engine,
    run_id: &RunId,
    limits: &[(LimitName, u64)],
    by: String,
) -> Result<Stored, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    people::over(&stored.run)?;
    let command: Command = Raise { limits: limits.to_vec(), by: by.clone() }.into();
    stored.run.decide(&command, engine.now())?;
    let kind = RequestKind::Raise { limits: limits.to_vec(), by };
    bring_about(engine, run_id, (&command, &kind), |run| {
        limits.iter().all(|(limit, allowed)| run.allowed(*limit) >= Some(*allowed))
    })
    .await
}

/// Returns whether the run waits for secrets that its next attempt needs.
pub fn awaits_secrets(run: &Run) -> bool {
    matches!(run.status, Status::Paused { reason: PauseReason::Secret, .. })
}

/// Returns the names of the secrets that a run waits for; none if it waits for none.
///
/// # Errors
///
/// If the registry fails.
pub async fn awaited_secrets(engine: &Engine, run_id: &RunId) -> Result<Vec<String>, Error> {
    let stored = engine.store().load(run_id).await?;
    Ok(match stored.map(|stored| stored.run.status) {
        Some(Status::Paused { secrets, .. }) => secrets,
        Some(_) | None => Vec::new(),
    })
}

/// Returns whether the run was paused by an operator, or by its budget.
pub fn is_held(run: &Run) -> bool {
    matches!(run.status, Status::Paused { reason: PauseReason::Operator | PauseReason::Budget, .. })
}

async fn bring_about(
    engine: &Engine,
    run_id: &RunId,
    (command, kind): (&Command, &RequestKind),
    is_so: impl Fn(&Run) -> bool + Send + Sync,
) -> Result<Stored, Error> {
    for _ in 0..TRIES {
        let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
        people::over(&stored.run)?;
        if is_so(&stored.run) {
            return Ok(stored);
        }
        if unheld::is_free(&stored) {
            match unheld::command(engine, &stored, command).await {
                Err(error) if unheld::is_race(&error) => {}
                Err(Error::Rejected(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => return wait::load(engine, run_id).await,
            }
            continue;
        }
        match ask(engine, &stored, kind.clone()).await {
            Err(error) if unheld::is_race(&error) => continue,
            asked => asked?,
        }
        let is_settled = |stored: &Stored| {
            stored.run.status.is_terminal() || unheld::is_free(stored) || is_so(&stored.run)
        };
        let deadline = Some(Instant::now() + LIMIT);
        match wait::until(engine, run_id, deadline, is_settled).await? {
            // The run may be over already: the next round returns that at once.
            Waited::Reached(stored) if is_so(&stored.run) => return Ok(*stored),
            Waited::Reached(_) => {}
            Waited::TimedOut(stored) => return Err(still(&stored)),
        }
    }
    Err(still(&wait::load(engine, run_id).await?))
}

fn still(stored: &Stored) -> Error {
    Error::StillLive {
        run_id: stored.run.id.clone(),
        status: stored.run.status.name(),
        waited_ms: u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX),
    }
}
