//! Releasing a run that is held, or that waits for secrets.

use errand_model::RunId;
use errand_model::budget::BudgetScope;
use errand_model::event::PauseReason;
use errand_model::price::Day;
use errand_model::run::{DeniedCall, Rejection, Resume, Run, Status};
use errand_store::Stored;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::pause::{children, unless_gone};
use super::{Error, LIMIT, ask, begin, command, reconciled, still_live};
use crate::ask::AskProblem;
use crate::wait::{self, WaitEnd};
use crate::{Engine, environment, equipment, reconcile};

/// Releases a run that is held, or that waits for secrets. It may still wait for a person.
///
/// # Errors
///
/// [`Rejection::NotPaused`] if it is not held, [`Rejection::Terminal`] if it is over;
/// [`Rejection::BudgetSpent`] if a limit holds it that leaves as little room as before.
/// [`super::AskProblem::AwaitsSecrets`] if it waits for secrets that this process does not have
/// either.
pub fn resume<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    by: Option<String>,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        let stored = reconciled(engine, run_id).await?;
        stored.run.check_live()?;
        if reconcile::rests_until_boot(engine, &stored) {
            return bring_back(engine, &stored, by).await;
        }
        if stored.run.awaits_secrets() {
            return with_secrets(engine, stored, by).await;
        }
        let resume = Resume { by };
        stored.run.decide(&resume.clone().into(), engine.now())?;
        refuse_spent_day(engine, &stored.run).await?;
        // A coordinator resumes the children that it held.
        command(engine, stored, &resume.into(), LIMIT, |run| !run.is_held()).await
    })
}

/// Resumes a child of a coordinator without waiting. Returns whether it is not held, or over,
/// already.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn begin_resume(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    let is_resumed =
        |run: &Run| !matches!(run.status, Status::Paused { reason: PauseReason::Operator, .. });
    begin(engine, run_id, Resume { by: None }.into(), is_resumed).await
}

/// Refuses to resume a run that is held by a limit of the day of which nothing is left.
async fn refuse_spent_day(engine: &Engine, run: &Run) -> Result<(), Error> {
    if run.caps(BudgetScope::Day).is_unlimited() {
        return Ok(());
    }
    let today = Day::of(engine.now());
    let standing = engine.store().day_standing(&run.spec.agent_key(), today).await?;
    match run.day_still_spent(standing.used) {
        Some(DeniedCall { limit, used, allowed }) => {
            let run_id = run.id.clone();
            Err(Rejection::BudgetSpent { run_id, limit, used, allowed }.into())
        }
        None => Ok(()),
    }
}

/// Resumes a service whose supervisor was ended by a signal.
async fn bring_back(engine: &Engine, stored: &Stored, by: Option<String>) -> Result<Stored, Error> {
    ask(engine, stored, Resume { by }.into()).await?;
    let lives = |stored: &Stored| {
        stored.run.status.is_terminal() || matches!(stored.run.status, Status::Running { .. })
    };
    let limit = LIMIT.unwrap_or_default();
    match wait::until(engine, &stored.run.id, Some(Instant::now() + limit), lives).await? {
        WaitEnd::Reached(stored) => Ok(*stored),
        WaitEnd::TimedOut(stored) => Err(still_live(&stored, limit)),
    }
}

/// Resumes a run that waits for secrets, or the children of a coordinator that do.
async fn with_secrets(
    engine: &Engine,
    stored: Stored,
    by: Option<String>,
) -> Result<Stored, Error> {
    let run = &stored.run;
    if run.coordination.is_some() {
        for child in children(run) {
            let child = reconciled(engine, &child).await?;
            if child.run.awaits_secrets() {
                let resumed = Box::pin(with_secrets(engine, child, by.clone())).await;
                resumed.map(drop).or_else(unless_gone)?;
            }
        }
        return Ok(wait::load(engine, &run.id).await?);
    }
    // Where another process makes the attempt, only that one knows.
    if run.spec.placement.is_none() {
        let mut parcel = equipment::open(engine, run)?;
        let (around, replay) = (engine.surroundings(), run.spec.replay.as_ref());
        environment::spare_gateway_secrets(around, &mut parcel.agent, replay);
        let names = environment::lacking(engine.surroundings(), &parcel.agent);
        if !names.is_empty() {
            return Err(AskProblem::AwaitsSecrets { run_id: run.id.clone(), names }.into());
        }
    }
    command(engine, stored, &Resume { by }.into(), LIMIT, |run| !run.awaits_secrets()).await
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
