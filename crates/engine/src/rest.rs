//! Runs that nobody holds, since they wait for a person without a process, or in the queue: whoever
//! decides writes their journal.
//!
//! Two who do so at once are told apart by the store: the second finds that the journal moved on.

use errand_model::run::{Command, Decision, Effect};
use errand_model::{Event, EventContext, Timestamp};
use errand_store::files::Sync;
use errand_store::{Append, Fence, FinalSnapshot, RequestKind, Stored};

use crate::coordinate::family;
use crate::see_through::see_through;
use crate::{Engine, Error, coordinate, deadlines, follow_up, launch, lease, record_file};

/// Whether nobody holds the run, so that whoever decides something writes its journal.
pub(crate) fn is_free(stored: &Stored) -> bool {
    stored.run.is_at_rest() || (stored.run.spec.placement.is_some() && stored.lease.is_none())
}

/// Decides and records; then starts a helper if the run goes on with it. The events are durable,
/// and the next attempt is going, when this returns. One that any worker may claim is in the queue
/// instead.
///
/// # Errors
///
/// [`Error::Rejected`] if the model refuses; [`errand_store::Error::Fenced`] or
/// [`errand_store::Error::Conflict`] if somebody was faster: look again. [`Error::Helper`] if no
/// helper could be started: the decision is recorded, and whoever reconciles next tries again.
pub(crate) async fn command(
    engine: &Engine,
    stored: &Stored,
    command: &Command,
) -> Result<Decision, Error> {
    let now = engine.now();
    let decision = stored.run.decide(command, now)?;
    if decision.events.is_empty() {
        return Ok(decision);
    }
    let mut append = append(engine, stored, &decision, now)?;
    append.answered = answered(engine, stored, command).await?;
    foretell(engine, stored, &append);
    let is_held = stored.lease.is_some();
    let dispatches =
        decision.effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. }));
    see_through(Box::pin(write(engine.clone(), append, (is_held, dispatches)))).await?;
    Ok(decision)
}

/// Writes what was decided, and sees to it that the run goes on if it does.
async fn write(
    engine: Engine,
    mut append: Append,
    (is_held, dispatches): (bool, bool),
) -> Result<(), Error> {
    if is_held {
        // A holder that died before it could let go.
        let lease = lease::borrow(&engine, &append.run, append.fence.epoch).await?;
        append.fence = Fence { epoch: lease.epoch };
        engine.store().append(append.clone()).await?;
    } else {
        engine.store().append_at_rest(append.clone()).await?;
    }
    record_file::write_quietly(&engine, &append.run, append.head, None);
    // A family's own process takes what waits for it: if that is dead, another one does.
    if dispatches && (append.requeue.is_none() || family::is_orphaned(&engine, &append.run)) {
        launch::begin(&engine, &append.run, append.fence.epoch).await?;
    }
    Ok(())
}

/// Requests that a command makes up for: left with a supervisor that let go of the run before it
/// read them. Unanswered they would be done when the next one comes, whatever was decided since.
async fn answered(engine: &Engine, stored: &Stored, command: &Command) -> Result<Vec<i64>, Error> {
    if stored.open_requests == 0 {
        return Ok(Vec::new());
    }
    let open = engine.store().requests(&stored.run.id).await?;
    Ok(open.into_iter().filter(|open| makes_up_for(command, &open.kind)).map(|it| it.id).collect())
}

fn makes_up_for(command: &Command, kind: &RequestKind) -> bool {
    match kind {
        RequestKind::Cancel { .. } => matches!(command, Command::Cancel(_)),
        RequestKind::Restart { .. } => matches!(command, Command::Restart(_)),
        RequestKind::Pause { .. } | RequestKind::Resume { .. } => {
            matches!(command, Command::Pause(_) | Command::Resume(_))
        }
        RequestKind::Raise { limits, .. } => {
            matches!(command, Command::Raise(raise) if raise.limits == *limits)
        }
        // The id of the decision tells whether it was made.
        RequestKind::Decide { .. } | RequestKind::Provide { .. } | RequestKind::Wake { .. } => {
            false
        }
    }
}

/// What a decision leaves in a journal that nobody supervises, under the last lease that the run
/// had; whoever writes it lets go of the run with it.
///
/// # Errors
///
/// [`Error`] for a decision whose events do not fold, which is a bug.
pub(crate) fn append(
    engine: &Engine,
    stored: &Stored,
    decision: &Decision,
    now: Timestamp,
) -> Result<Append, Error> {
    let attempt = stored.run.last_attempt_number();
    let mut head = stored.head;
    let seal = |body| head.seal(&stored.run.id, now, attempt, body);
    let events: Vec<Event> = decision.events.iter().map(seal).collect();
    let run = stored.run.clone().apply_all(EventContext { at: now, attempt }, &decision.events)?;
    let requeue = lease::place_of(&run);
    let mut documents = follow_up::documents(engine, &run, &events);
    documents.extend(deadlines::watched(&run));
    if run.is_coordinating() {
        // What it means for its children is for it to see to.
        documents.push(coordinate::asked(&run, head.seq, now));
    }
    Ok(Append {
        run,
        head,
        events,
        steps: Vec::new(),
        fence: Fence { epoch: stored.epoch },
        snapshot: true,
        release: true,
        requeue,
        answered: Vec::new(),
        documents,
    })
}

/// Leaves beside the journal that the run ends with what is about to be committed. Nobody writes to it
/// after that: should this process die before the file of its journal says so, a registry that is made
/// anew from files has the end all the same, and does not carry the run out.
pub(crate) fn foretell(engine: &Engine, stored: &Stored, append: &Append) {
    if !append.run.status.is_terminal() {
        return;
    }
    let snapshot = FinalSnapshot {
        run_id: append.run.id.clone(),
        attempt: stored.run.last_attempt_number(),
        epoch: stored.run.epoch,
        head_before: stored.head,
        events: append.events.clone(),
    };
    // Many may be ended at once, and the registry has it: a loss of power may take it.
    drop(snapshot.write(engine.registry(), Sync::No));
}

/// Whether it is for the caller to look again: somebody was faster.
pub(crate) const fn is_race(error: &Error) -> bool {
    matches!(
        error,
        Error::Store(
            errand_store::Error::Fenced { .. }
                | errand_store::Error::Sealed { .. }
                | errand_store::Error::Conflict { .. }
        )
    )
}
