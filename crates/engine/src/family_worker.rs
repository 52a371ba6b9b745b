//! Worker of a family: it carries out a coordinator without a placement by its caller, and all runs
//! that it starts.
//!
//! If the worker dies, the next reconciliation of the coordinator starts another one, which
//! continues from there.

use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::run::{Cancel, Run, Status};
use errand_store::Stored;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::ask;
use crate::family::{FAMILY, is_top, worker_name};
use crate::supervise::ControlState;
use crate::worker::{self, Options, Until};
use crate::{Engine, Error, lease, reconcile, wait};

/// Time that agents have to end by themselves when a person interrupts; the second time they have
/// none.
const INTERRUPTED_GRACE: Duration = Duration::from_secs(10);
/// Interval at which the family is checked for work.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Works for a coordinator and all that it starts until it is over, or until ordered to end. An
/// interrupt cancels it.
///
/// Must be called on a thread that lives as long as the call, as [`worker::work`].
///
/// # Errors
///
/// If the registry fails for good.
pub fn carry_out<'a>(
    engine: &'a Engine,
    run_id: &'a RunId,
    slots: u32,
    orders: watch::Receiver<ControlState>,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        bring_back(engine, run_id).await?;
        let (drains, told) = watch::channel(ControlState::default());
        let options = Options {
            labels: [(FAMILY.to_owned(), run_id.to_string())].into(),
            only: true,
            until: Until::Over(run_id.clone()),
            ..Options::new(worker_name(run_id), slots)
        };
        let work = worker::work(engine, options, told);
        tokio::select! {
            done = work => done.map(drop)?,
            never = obey(engine, run_id, orders, Arc::new(drains)) => never?,
        }
        Ok(wait::load(engine, run_id).await?)
    })
}

/// Waits until nothing in a family works any more and all of it waits for people. Returns the run
/// as it waits.
///
/// # Errors
///
/// If the registry fails.
pub async fn until_left(engine: &Engine, run_id: &RunId) -> Result<Stored, Error> {
    let mut changes = engine.store().changes();
    loop {
        let stored = wait::load(engine, run_id).await?;
        if waits_for_people(&stored.run) && is_idle(engine, &stored.run).await? {
            return Ok(stored);
        }
        drop(tokio::time::timeout(LOOK_EVERY, changes.recv()).await);
    }
}

/// Starts a helper that works for a family in the background. No worker of this process may work
/// for the family any more: it would take the family back.
///
/// # Errors
///
/// If the registry fails, or no helper can be started.
pub async fn hand_on(engine: &Engine, stored: &Stored) -> Result<(), Error> {
    let lease = lease::take(engine, &stored.run, stored.epoch).await?;
    Ok(Box::pin(reconcile::hand_on(engine, &stored.run.id, &lease)).await?)
}

fn waits_for_people(run: &Run) -> bool {
    let waits = matches!(run.status, Status::Paused { reason, .. } if reason.is_missing());
    waits && run.is_coordinating()
}

/// Returns true if no child has a process, at any depth.
async fn is_idle(engine: &Engine, top: &Run) -> Result<bool, Error> {
    let mut live: Vec<RunId> = children(top).collect();
    while let Some(run_id) = live.pop() {
        let Some(stored) = engine.store().load(&run_id).await? else { continue };
        let run = &stored.run;
        if run.status.is_terminal() {
            continue;
        }
        if stored.lease.is_some() || !(run.is_at_rest() || waits_for_people(run)) {
            return Ok(false);
        }
        live.extend(children(run));
    }
    Ok(true)
}

fn children(run: &Run) -> impl Iterator<Item = RunId> {
    run.coordination.iter().flat_map(|it| it.live.values()).map(|child| child.run_id.clone())
}

/// Takes over the runs of a dead process of the family, at once.
async fn bring_back(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    let mut looked_at = vec![run_id.clone()];
    while let Some(run_id) = looked_at.pop() {
        let Some(stored) = engine.store().load(&run_id).await? else { continue };
        let waits = matches!(stored.run.status, Status::Pending { .. }) && stored.lease.is_none();
        let stored = if is_top(&stored.run) && waits {
            // The run stays in the queue for this process.
            stored
        } else {
            reconcile::reconcile(engine, stored).await?
        };
        looked_at.extend(children(&stored.run));
    }
    Ok(())
}

/// Turns signals into orders to a family. Never ends by itself.
async fn obey(
    engine: &Engine,
    run_id: &RunId,
    mut orders: watch::Receiver<ControlState>,
    drains: Arc<watch::Sender<ControlState>>,
) -> Result<(), Error> {
    let mut interrupts = 0;
    loop {
        let told = orders.borrow_and_update().clone();
        drains.send_modify(|known| {
            known.drains = told.drains;
            known.looks = told.looks;
        });
        if told.interrupts > interrupts {
            interrupts = told.interrupts;
            let grace = if interrupts > 1 { Duration::ZERO } else { INTERRUPTED_GRACE };
            let cancel = Cancel { cause: CancelCause::Interrupted, by: None, grace };
            ask::begin_cancel(engine, run_id, &cancel).await?;
        }
        if orders.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
