//! Restart: a new attempt of a live run, or a new run in place of one that is over.

use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use errand_model::run::{AttemptState, CallerCommand, Cancel, Restart, Run};
use errand_store::Stored;
use tokio::time::Instant;

use super::{AgentChoice, Error};
use crate::again::NotRetryable;
use crate::ask::{TRIES, cancel as cancel_run, command, reconciled, still_live};
use crate::submission::{CheckedSubmission, Submission};
use crate::wait::{self, WaitEnd};
use crate::{Engine, unheld};

/// Longest wait for the next attempt after the grace period.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);

/// Result of a restart.
#[derive(Debug)]
pub enum Restarted {
    /// New attempt of the same run.
    Attempt(Box<Stored>),
    /// A new run, which names the old one as its origin.
    Run(RunId),
}

/// Restarts a run: a live one gets a new attempt; a new run repeats one that is over.
///
/// # Errors
///
/// [`crate::ask::AskProblem::StillLive`] if the next attempt did not begin in time;
/// [`crate::launch::HelperFailed`] and errors of admission for a new run.
pub async fn restart(
    engine: &Engine,
    run_id: &RunId,
    by: Option<String>,
    grace: Duration,
) -> Result<Restarted, Error> {
    for _ in 1..TRIES {
        match try_restart(engine, run_id, by.clone(), grace).await {
            // Another process decided about the run: the restart follows its decision.
            Err(error) if unheld::is_race(&error) => {}
            restarted => return restarted,
        }
    }
    try_restart(engine, run_id, by, grace).await
}

async fn try_restart(
    engine: &Engine,
    run_id: &RunId,
    by: Option<String>,
    grace: Duration,
) -> Result<Restarted, Error> {
    let stored = reconciled(engine, run_id).await?;
    if stored.run.status.is_terminal() {
        return again(engine, &stored, by).await.map(Restarted::Run);
    }
    if stored.run.coordination.is_some() {
        let reason = "is a coordinator without a process of its own: restart one of its children";
        return Err(NotRetryable { run_id: run_id.clone(), reason }.into());
    }
    let before = stored.run.last_attempt_number();
    let limit = grace + BEGIN_LIMIT;
    let stored = if stored.run.cancel_requested.is_some() {
        // The run ends, and a new run takes its place.
        match wait::until_over(engine, run_id, Some(Instant::now() + limit)).await? {
            WaitEnd::Reached(ended) => *ended,
            WaitEnd::TimedOut(stored) => return Err(still_live(&stored, limit).into()),
        }
    } else {
        let restart: CallerCommand = Restart { by: by.clone(), grace }.into();
        if unheld::is_free(&stored) {
            unheld::command(engine, &stored, &restart.into()).await?;
            return Ok(Restarted::Attempt(Box::new(wait::load(engine, run_id).await?)));
        }
        let began = |run: &Run| {
            run.status.is_terminal()
                // Back in the queue: the next attempt begins when a worker claims the run. Another
                // restart would end that attempt too.
                || (run.spec.placement.is_some() && !has_live_attempt(run))
                || run.attempts.last().is_some_and(|last| {
                    last.number > before && !matches!(last.state, AttemptState::Starting(_))
                })
        };
        command(engine, stored, &restart, Some(limit), began).await?
    };
    // The run ended by itself, or its supervisor died, before it could be restarted.
    if stored.run.status.is_terminal() && stored.run.last_attempt_number() == before {
        return again(engine, &stored, by).await.map(Restarted::Run);
    }
    Ok(Restarted::Attempt(Box::new(stored)))
}

fn has_live_attempt(run: &Run) -> bool {
    run.attempts.last().is_some_and(|last| last.state.is_live())
}

/// Restarts a run with another agent: a live one is ended first, since a run has one parcel.
/// Returns the submission in its place.
///
/// # Errors
///
/// As [`restart`]; problems of the chosen agent are found before the run is ended.
pub async fn replace(
    engine: &Engine,
    run_id: &RunId,
    cancel: &Cancel,
    choice: AgentChoice,
) -> Result<Submission, Error> {
    let stored = super::reconciled(engine, run_id).await?;
    if stored.run.spec.member.is_some() && !stored.run.status.is_terminal() {
        let reason = "is a step of a coordinator, which pins its agents: restart that";
        return Err(NotRetryable { run_id: run_id.clone(), reason }.into());
    }
    let submission = super::submission(engine, &stored.run)?;
    let submission = super::chosen(engine, submission, choice).await?;
    let submission = CheckedSubmission::for_here(engine, submission)?.into_submission();
    if stored.run.status.is_terminal() {
        return Ok(submission);
    }
    let parcel = Box::new(Arc::unwrap_or_clone(submission.parcel));
    let source = submission.source;
    let ended = cancel_run(engine, run_id, cancel).await?;
    // Schedules stand where they stood when it ended.
    let submission = super::submission(engine, &ended.run)?;
    super::chosen(engine, submission, AgentChoice::Parcel(parcel, source)).await
}

/// Starts a new run of the same parcel with the same input and settings.
async fn again(engine: &Engine, old: &Stored, by: Option<String>) -> Result<RunId, Error> {
    let mut submission = super::submission(engine, &old.run)?;
    submission.options.by = by;
    super::start(engine, submission).await
}
