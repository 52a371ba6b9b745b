//! Commands of callers to live runs.
//!
//! `command` is the one way from a caller to a decision, and back. If a supervisor holds the run's
//! lease, the command is stored as a request, the supervisor is woken and decides it, and the
//! caller waits until the run is as the command wants it. Otherwise the calling process decides and
//! records it itself. Each command has a file with what only it needs.

mod approve;
mod cancel;
mod error;
mod input;
mod pause;
mod raise;
mod resume;
mod supersede;
mod wake;

use std::time::Duration;

use errand_agent::os::{self, Signal};
use errand_model::RunId;
use errand_model::run::{CallerCommand, QuestionKind, Run};
use errand_store::Stored;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use approve::decide_approval;
pub use cancel::{begin_cancel, cancel};
pub use error::{AskProblem, Error};
pub use input::{AnswerDraft, provide_input};
pub(crate) use pause::begin_pause;
pub use pause::{carry_out, pause};
pub use raise::raise;
pub(crate) use resume::begin_resume;
pub use resume::{awaited_secrets, resume};
pub(crate) use supersede::{SUPERSEDED_GRACE, supersede};
pub use wake::{Wake, wake};

use crate::engine::random;
use crate::error::{CodedError as _, IoFailure};
use crate::wait::{self, WaitEnd};
use crate::{Engine, news, people, reconcile, unheld};

/// Number of times that a lost race with a supervisor or another caller is run again.
pub(crate) const TRIES: usize = 16;
/// Time for a supervisor to carry out a command.
const LIMIT: Option<Duration> = Some(Duration::from_secs(30));
/// For commands that a supervisor decides as soon as it reads them.
const NO_LIMIT: Option<Duration> = None;

/// Gives a command to a run, and returns the run once it has settled.
///
/// `stored` is the run as just loaded and reconciled. What the command leads to is durable when
/// this returns.
///
/// # Errors
///
/// [`Error::Rejected`] if the model refuses the command; [`AskProblem::StillLive`] if the run has
/// not settled within `limit`: the command is carried out later then.
pub(crate) fn command<'a>(
    engine: &'a Engine,
    stored: Stored,
    command: &'a CallerCommand,
    limit: Option<Duration>,
    settled_when: impl Fn(&Run) -> bool + Send + Sync + 'a,
) -> BoxFuture<'a, Result<Stored, Error>> {
    command_boxed(engine, stored, (command, limit), Box::new(settled_when))
}

fn command_boxed<'a>(
    engine: &'a Engine,
    mut stored: Stored,
    (command, limit): (&'a CallerCommand, Option<Duration>),
    settled_when: Box<dyn Fn(&Run) -> bool + Send + Sync + 'a>,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        let run_id = stored.run.id.clone();
        let as_command = command.clone().into();
        for _ in 0..TRIES {
            if settled_when(&stored.run) {
                return Ok(stored);
            }
            stored.run.decide(&as_command, engine.now())?;
            let is_free = unheld::is_free(&stored);
            let given = if is_free {
                unheld::command(engine, &stored, &as_command).await.map(drop).map_err(Error::from)
            } else {
                ask(engine, &stored, command.clone()).await
            };
            match given {
                Ok(()) if is_free => return Ok(wait::load(engine, &run_id).await?),
                Ok(()) => {
                    let is_settled = |stored: &Stored| {
                        stored.run.status.is_terminal()
                            || unheld::is_free(stored)
                            || settled_when(&stored.run)
                    };
                    let deadline = limit.map(|limit| Instant::now() + limit);
                    match wait::until(engine, &run_id, deadline, is_settled).await? {
                        // The run may be over already: with nothing to wait for, that takes no time.
                        WaitEnd::Reached(stored) if settled_when(&stored.run) => {
                            return Ok(*stored);
                        }
                        WaitEnd::Reached(_) => {}
                        WaitEnd::TimedOut(stored) => {
                            return Err(still_live(&stored, limit.unwrap_or_default()));
                        }
                    }
                }
                Err(error) if unheld::is_race(&error) => {}
                Err(error) => return Err(error),
            }
            stored = reconciled(engine, &run_id).await?;
        }
        Err(still_live(&stored, limit.unwrap_or_default()))
    })
}

/// Gives a command to a run without waiting until it has settled. Returns whether it has already.
///
/// # Errors
///
/// If the registry fails.
async fn begin(
    engine: &Engine,
    run_id: &RunId,
    command: CallerCommand,
    settled_when: impl Fn(&Run) -> bool + Send + Sync,
) -> Result<bool, Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(true) };
    if stored.run.status.is_terminal() || settled_when(&stored.run) {
        return Ok(true);
    }
    let given = if unheld::is_free(&stored) {
        unheld::command(engine, &stored, &command.into()).await.map(|_| true).map_err(Error::from)
    } else {
        ask(engine, &stored, command).await.map(|()| false)
    };
    match given {
        // The next look says how it is.
        Err(error) if unheld::is_race(&error) => Ok(false),
        Err(error) if error.rejection().is_some() => Ok(true),
        given => given,
    }
}

/// Loads a run, and reconciles it if its supervisor is dead.
pub(crate) fn reconciled<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(
        async move { Ok(reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?) },
    )
}

/// Loads the run that a person means who answers run `run_id`, and reconciles it. `id` is that of
/// the question, where it is given.
///
/// # Errors
///
/// As [`people::asker`].
async fn asking(
    engine: &Engine,
    run_id: &RunId,
    what: QuestionKind,
    id: Option<&str>,
) -> Result<Stored, Error> {
    let mut stored = wait::load(engine, run_id).await?;
    if stored.run.spec.plan.is_some() {
        let asker = people::asker(engine, &stored.run, what, id).await?;
        if asker != *run_id {
            stored = wait::load(engine, &asker).await?;
        }
    }
    Ok(reconcile::reconcile(engine, stored).await?)
}

/// Returns the error of a wait that ended before the run settled.
pub(crate) fn still_live(stored: &Stored, waited: Duration) -> Error {
    AskProblem::StillLive {
        run_id: stored.run.id.clone(),
        status: stored.run.status.name(),
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    }
    .into()
}

/// Returns a random id that tells one decision from every other one.
fn new_decision_id() -> Result<String, Error> {
    Ok(format!("dec_{:016x}", random()?))
}

/// Stores a command for the run's supervisor and wakes it.
///
/// # Errors
///
/// If the registry fails, or [`errand_store::Error::Sealed`] if the run ended meanwhile.
pub fn ask<'a>(
    engine: &'a Engine,
    stored: &'a Stored,
    command: CallerCommand,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        engine.store().request(&stored.run.id, command, engine.now()).await?;
        nudge(engine, &stored.run.id).await
    })
}

/// Wakes the holder of the run's lease, so that it reads the requests.
async fn nudge(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    // Loaded again: the lease may have been taken while the request was written.
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    if stored.run.is_coordinating() && stored.lease.is_none() {
        // The holder released it meanwhile.
        return Ok(news::tell(engine, &stored.run).await?);
    }
    let Some(lease) = stored.lease.filter(|lease| reconcile::is_here(engine, lease)) else {
        return Ok(());
    };
    Ok(os::signal(&lease.holder.process, Signal::Look)
        .map(|_| ())
        .map_err(IoFailure::of("signal the supervisor of", engine.registry().run_log(run_id)))?)
}
