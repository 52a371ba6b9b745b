//! Wait for a run's turn in its session, without an agent process.
//!
//! The store decides on turns: the first live run in the order of admission has it. A waiting run
//! watches the run directly ahead: when that ends, or its supervisor dies, this run has its turn,
//! or watches the next run ahead.

use std::time::Duration;

use errand_agent::os::watch::Watch;
use errand_model::event::{CancelCause, OnBusy};
use errand_model::run::Cancel;
use errand_model::{RunId, Timestamp};
use errand_store::SessionTurn;

use super::{Next, SupervisorChannels, requests};
use crate::journal::{Journal, JournalProblem};
use crate::launch::HelperReport;
use crate::{Engine, Error, ask, reconcile};

/// Interval of checks on the run ahead without a change of its file: its supervisor may have died
/// without a write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the run has its turn. A run that takes no turns, or had its turn already, does not
/// wait.
///
/// # Errors
///
/// If the registry fails, or the journal is lost.
pub(super) async fn until_turn(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
) -> Result<Next, Error> {
    let (on_busy, has_begun) =
        journal.look(|run, _| (run.spec.session_turn, !run.attempts.is_empty()));
    let Some(on_busy) = on_busy.filter(|_| !has_begun) else { return Ok(Next::Attempt) };
    let mut shown: Option<RunId> = None;
    loop {
        // The run is over; or it rests until a person resumes it.
        if journal.look(|run, _| run.status.is_terminal() || run.is_at_rest()) {
            return Ok(Next::Over);
        }
        let turn = engine.store().turn(journal.run_id()).await?;
        let Some(ahead) = turn.next_ahead.clone() else { return Ok(Next::Attempt) };
        // The process that started this run need not wait for the turn.
        channels.say(HelperReport::Began);
        if shown != turn.holder {
            tell(engine, journal, channels, &turn);
            shown.clone_from(&turn.holder);
        }
        let orders = channels.control.borrow_and_update().clone();
        if orders.is_interrupted() {
            return cancel(journal, CancelCause::Interrupted).await;
        }
        if orders.is_drained() {
            return super::hand_back(journal, engine.now()).await;
        }
        if matches!(on_busy, OnBusy::Enqueue | OnBusy::Reject) && super::is_placed(journal) {
            // The run was claimed a moment too early: it waits in the queue, and holds no slot.
            return super::hand_back(journal, engine.now().plus(LOOK_EVERY)).await;
        }
        if queue_deadline(journal).is_some_and(|deadline| engine.now() >= deadline) {
            return cancel(journal, CancelCause::QueueTimeout).await;
        }
        tokio::select! {
            done = clear(engine, journal.run_id(), &ahead, on_busy) => done?,
            () = until(engine, queue_deadline(journal)) => {}
            lost = journal.lost() => return Err(JournalProblem::Lost { source: lost }.into()),
            changed = channels.control.changed() => {
                if changed.is_err() {
                    return Ok(Next::Over);
                }
                requests::answer(engine, journal).await?;
            }
        }
    }
}

/// Returns the end of the wait for the first attempt, if that is limited.
pub(super) fn queue_deadline(journal: &Journal) -> Option<Timestamp> {
    journal.look(|run, _| run.queue_deadline())
}

/// Ends a run that has no agent process.
pub(super) async fn cancel(journal: &Journal, cause: CancelCause) -> Result<Next, Error> {
    let cancel = Cancel { cause, by: None, grace: Duration::ZERO };
    journal.end(&cancel.into()).await?;
    Ok(Next::Over)
}

async fn until(engine: &Engine, deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(engine.now())).await,
        None => std::future::pending().await,
    }
}

/// Handles the run ahead: waits until it may have changed, or ends it.
async fn clear(
    engine: &Engine,
    run_id: &RunId,
    ahead: &RunId,
    on_busy: OnBusy,
) -> Result<(), Error> {
    match on_busy {
        OnBusy::Enqueue | OnBusy::Reject => changed(engine, ahead).await,
        OnBusy::Interrupt | OnBusy::Rollback => {
            let by = Some(run_id.to_string());
            let cancel =
                Cancel { cause: CancelCause::Superseded, by, grace: ask::SUPERSEDED_GRACE };
            // A run that cannot be ended now, or was removed meanwhile: it is looked at again.
            if ask::cancel(engine, ahead, &cancel).await.is_err() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        }
    }
}

/// Waits until the run ahead may have changed its status; a run without a supervisor is reconciled.
async fn changed(engine: &Engine, ahead: &RunId) -> Result<(), Error> {
    // The watch starts before the check, so no change in between is missed. The record is written
    // only at transitions, while the journal of a busy run changes all the time.
    let mut watch = Watch::new().ok();
    if let Some(watch) = &mut watch {
        // Without a file, or without a watch, the regular check suffices.
        drop(watch.file(&engine.registry().run_record(ahead)));
    }
    let Some(stored) = engine.store().load(ahead).await? else { return Ok(()) };
    // An error of reconciling may pass: this run waits on.
    let looked = reconcile::reconcile(engine, stored).await;
    if looked.is_ok_and(|stored| stored.run.status.is_terminal()) {
        return Ok(());
    }
    let look = tokio::time::sleep(LOOK_EVERY);
    match &mut watch {
        Some(watch) => {
            tokio::select! {
                _ = watch.changed() => {}
                () = look => {}
            }
        }
        None => look.await,
    }
    Ok(())
}

/// Writes to the run's log, and to its watcher in the foreground, which run it waits for.
fn tell(engine: &Engine, journal: &Journal, channels: &SupervisorChannels, turn: &SessionTurn) {
    let Some(holder) = &turn.holder else { return };
    let session = journal.look(|run, _| run.spec.session_id.clone()).unwrap_or_default();
    let others = match turn.ahead {
        0 | 1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    let text = format!("waits for its turn in session {session:?} behind run {holder}{others}");
    if let Ok(log) = errand_agent::log::Writer::open(&engine.registry().run_log(journal.run_id())) {
        log.system(&text);
    }
    channels.note(&text);
}
