//! What holds up a run in the foreground, told on stderr while its agent waits, and that it is to end.
//!
//! Deliberately absent: runs that nobody watches. `errand ps` shows what those wait for.

use std::convert::Infallible;
use std::time::Duration;

use errand_agent::Clock as _;
use errand_engine::supervise::Usher;
use errand_engine::{Engine, record_file};
use errand_model::RunId;
use errand_model::event::PauseReason;
use errand_model::run::Status;
use errand_store::{Change, Changes};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::context::Context;
use crate::render;

/// What is over sooner is not worth a word; and a run that writes much is not looked at more often.
const PATIENCE: Duration = Duration::from_millis(300);

/// Tells that a run is paused, what for, and how it goes on, until it is dropped.
///
/// Of a family nobody is told here that it waits for people: its foreground leaves it then, and says
/// so.
pub(super) async fn tell(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    is_family: bool,
) -> Infallible {
    let mut changes = engine.store().changes();
    let mut told = false;
    loop {
        changed(&mut changes, run_id).await;
        sleep(PATIENCE).await;
        // What cannot be read now may be later.
        let Ok(Some(stored)) = engine.store().load(run_id).await else { continue };
        let Status::Paused { reason, .. } = &stored.run.status else {
            if std::mem::take(&mut told) && !stored.run.status.is_terminal() {
                context.printer.note(&format!("run {run_id} goes on"));
            }
            continue;
        };
        let is_left = matches!(reason, PauseReason::Approval | PauseReason::Input);
        if is_family && is_left {
            continue;
        }
        if !std::mem::replace(&mut told, true) {
            let record = record_file::record(engine, &stored);
            let what = render::status(&record, errand_agent::SystemClock.now());
            context.printer.note(&format!("run {run_id} is {what}"));
            context.printer.note(&format!("hint: {}", way_on(*reason, run_id)));
        }
    }
}

/// What is said to whoever interrupts a run.
pub(super) fn told_to_end(run_id: &RunId) -> String {
    format!("run {run_id} is told to end; once more, and it is killed at once")
}

/// Tells that the run was told to end, and how it ends at once, until it is dropped.
pub(super) async fn tell_interrupts(
    context: &Context,
    usher: &Usher,
    run_id: &RunId,
) -> Infallible {
    let mut orders = usher.orders();
    loop {
        if orders.borrow_and_update().interrupts > 0 {
            context.printer.note(&told_to_end(run_id));
            return std::future::pending().await;
        }
        if orders.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until something happens to the run, or may have.
async fn changed(changes: &mut Changes, run_id: &RunId) {
    loop {
        match changes.recv().await {
            Ok(Change::Run { run_id: changed, .. }) if changed != *run_id => {}
            Ok(Change::Queued | Change::Asked { .. } | Change::Turn | Change::Inbox { .. }) => {}
            Ok(Change::Run { .. } | Change::Elsewhere) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// How a paused run goes on.
pub(super) fn way_on(reason: PauseReason, run_id: &RunId) -> String {
    match reason {
        PauseReason::Operator => format!("`errand resume {run_id}` lets it go on"),
        PauseReason::Approval => {
            format!("`errand approve {run_id}` or `errand reject {run_id}` decides")
        }
        PauseReason::Input => format!("`errand input {run_id} ANSWER` answers"),
        PauseReason::Budget => {
            format!("`errand resume {run_id} --raise LIMIT=VALUE` allows more, and lets it go on")
        }
    }
}
