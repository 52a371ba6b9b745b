//! Commands to runs that no process holds: they wait for a person, or in the queue.
//!
//! The process that decides writes the journal. Of two that do so at once, the store refuses the
//! second, since the journal has grown.

use errand_model::draft::{DraftError, JournalDraft};
use errand_model::run::{Command, Decision, Effect};
use errand_store::{Lease, Stored};
use futures_util::future::BoxFuture;

use crate::commit::{Admits, Commit, Writer, commit};
use crate::error::{CodedError, RunEnding, operation_error};
use crate::run_to_completion::run_to_completion;
use crate::{Engine, family, launch, lease, news};

operation_error! {
    /// Error: a decision about a run that no process holds cannot be made.
    pub enum Error {
        /// The model refuses the command.
        Draft(DraftError),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// No helper process carries the run on.
        Launch(launch::Error),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Returns whether no process holds the run, so that the process that decides writes its journal.
pub(crate) fn is_free(stored: &Stored) -> bool {
    stored.run.is_at_rest() || (stored.run.spec.placement.is_some() && stored.lease.is_none())
}

/// Decides and records a command; then starts a helper if another attempt follows. The events are
/// durable, and the next attempt has begun, when this returns. A run that any worker may claim is
/// in the queue instead.
///
/// # Errors
///
/// [`Error::Draft`] if the model refuses; [`errand_store::Error::Fenced`] or
/// [`errand_store::Error::Conflict`] if another process was faster: load the run again.
/// [`crate::launch::HelperFailed`] if no helper could be started: the decision is recorded, and
/// reconciliation tries again.
pub(crate) fn command<'a>(
    engine: &'a Engine,
    stored: &'a Stored,
    command: &'a Command,
) -> BoxFuture<'a, Result<Decision, Error>> {
    Box::pin(async move {
        let writer = Writer::Unheld { epoch: stored.epoch };
        let (decision, mut commit) = decide(engine, stored, command, writer)?;
        if decision.events.is_empty() {
            return Ok(decision);
        }
        commit.answered = answered(engine, stored, command).await?;
        let is_held = stored.lease.is_some();
        let dispatches =
            decision.effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. }));
        let write = write(engine.clone(), commit, (is_held, dispatches));
        run_to_completion(Box::pin(write)).await?;
        Ok(decision)
    })
}

/// Decides and records a command under a lease that this process took for it, which ends with the
/// commit. No helper is started.
///
/// # Errors
///
/// As [`command`].
pub(crate) async fn command_under(
    engine: &Engine,
    stored: &Stored,
    command: &Command,
    lease: &Lease,
) -> Result<Decision, Error> {
    let writer = Writer::Borrower { epoch: lease.epoch };
    let (decision, decided) = decide(engine, stored, command, writer)?;
    commit(engine, &decided, &Admits::Nothing).await?;
    Ok(decision)
}

fn decide(
    engine: &Engine,
    stored: &Stored,
    command: &Command,
    writer: Writer,
) -> Result<(Decision, Commit), Error> {
    let now = engine.now();
    let mut draft = JournalDraft::without_steps(stored.run.clone(), stored.head);
    let decision = draft.command(command, now)?;
    let mut commit = Commit::of(draft, writer);
    if commit.run.is_coordinating() {
        // The coordinator's next turn sends the commands to its children.
        commit.documents.push(news::asked(&commit.run, commit.head.seq, now));
    }
    Ok((decision, commit))
}

/// Commits a decision, and starts a helper if one is needed.
async fn write(
    engine: Engine,
    mut decided: Commit,
    (is_held, dispatches): (bool, bool),
) -> Result<(), Error> {
    let mut last_epoch = decided.writer.epoch();
    if is_held {
        // The holder died before its lease ended.
        last_epoch = lease::borrow(&engine, &decided.run, last_epoch).await?.epoch;
        decided.writer = Writer::Borrower { epoch: last_epoch };
    }
    commit(&engine, &decided, &Admits::Nothing).await?;
    // A family's own process takes a run from the queue: if it is dead, a new one is needed.
    let is_taken = decided.requeued().is_some() && !family::is_orphaned(&engine, &decided.run);
    if dispatches && !is_taken {
        launch::begin(&engine, &decided.run, last_epoch).await?;
    }
    Ok(())
}

/// Returns the requests that a command settles: a supervisor that released the run did not read
/// them, and the next attempt would carry them out, whatever was decided since.
async fn answered(engine: &Engine, stored: &Stored, command: &Command) -> Result<Vec<i64>, Error> {
    let Command::Caller(command) = command else { return Ok(Vec::new()) };
    if stored.open_requests == 0 {
        return Ok(Vec::new());
    }
    let open = engine.store().requests(&stored.run.id).await?;
    let settled = open.into_iter().filter(|open| open.command.is_settled_by(command));
    Ok(settled.map(|open| open.id).collect())
}

/// Returns whether another process was faster, so that the caller has to load the run again.
pub(crate) fn is_race(error: &impl CodedError) -> bool {
    error.store().is_some_and(errand_store::Error::is_race)
}
