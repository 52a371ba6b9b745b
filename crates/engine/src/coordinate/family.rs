//! A coordinator that nobody placed, and all that it starts: carried out by one process, a worker
//! that takes nothing else. If that process dies, whoever looks at the coordinator next starts
//! another one, which goes on where the first one was.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::run::{Attempt, Run, Status};
use errand_store::{DocumentKind, DocumentOrder, DocumentQuery, Namespaces, Stored};
use tokio::sync::watch;

use super::FAMILY;
use crate::ask::{self, Stop};
use crate::supervise::ControlState;
use crate::worker::{self, Options, Until};
use crate::{Engine, Error, lease, reconcile, wait};

/// How long agents have to end by themselves when a person interrupts; the second time they have
/// none.
const INTERRUPTED_GRACE: Duration = Duration::from_secs(10);

/// The coordinator at the top of the family that a run belongs to, if one process works for it.
pub fn of(run: &Run) -> Option<&str> {
    let placement = run.spec.placement.as_ref()?;
    placement.demands.affinity.get(FAMILY).map(String::as_str)
}

/// Whether a run is at the top of such a family.
pub fn is_top(run: &Run) -> bool {
    of(run) == Some(run.id.as_str())
}

/// So long after a run began to wait for its process, that may be starting.
const STARTING: Duration = Duration::from_secs(10);

/// Whether the process lives that works for the family of which this is the top.
pub(crate) async fn is_kept(engine: &Engine, run: &Run) -> Result<bool, Error> {
    let here = &engine.holder().host;
    if let Status::Pending { since, .. } = run.status
        && (engine.now().since(since) < STARTING || has_worker(engine, &run.id).await?)
    {
        return Ok(true);
    }
    let (host, process) = match run.attempts.last() {
        Some(attempt) => (&attempt.host, Some(&attempt.supervisor)),
        None => (&run.spec.host, run.spec.launcher.as_ref()),
    };
    // Processes of other machines cannot be seen from here.
    Ok(host != here || process.is_some_and(|process| os::liveness(process) == Liveness::Alive))
}

/// Whether a run is at the top of a family whose process was here and is dead.
pub(crate) fn is_orphaned(engine: &Engine, run: &Run) -> bool {
    let is_dead = |attempt: &Attempt| {
        attempt.host == engine.holder().host && os::liveness(&attempt.supervisor) == Liveness::Dead
    };
    is_top(run) && run.attempts.last().is_some_and(is_dead)
}

/// Whether a worker of the family told of itself lately.
async fn has_worker(engine: &Engine, run_id: &RunId) -> Result<bool, Error> {
    let query = DocumentQuery {
        kind: DocumentKind::Worker,
        namespaces: Namespaces::All,
        prefix: worker_name(run_id),
        order: DocumentOrder::Ascending,
        after: None,
        limit: 8,
    };
    let known = engine.store().documents(&query).await?;
    Ok(known.iter().any(|worker| worker.due_at.is_some_and(|gone_at| engine.now() < gone_at)))
}

fn worker_name(run_id: &RunId) -> String {
    format!("family-{run_id}")
}

/// Works for a coordinator and all that it starts until it is over, or until told to end. An
/// interrupt cancels it.
///
/// Has to be called on a thread that lives as long as it, as [`worker::work`].
///
/// # Errors
///
/// If the registry fails for good.
pub async fn carry_out(
    engine: &Engine,
    run_id: &RunId,
    slots: u32,
    orders: watch::Receiver<ControlState>,
) -> Result<Stored, Error> {
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
    wait::load(engine, run_id).await
}

/// Waits until nothing in a family works any more and all of it waits for people. The run as it
/// waits.
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

/// A helper works for a family from now on, in the background. Nobody may work for it here any more:
/// that one would take it back.
///
/// # Errors
///
/// If the registry fails, or no helper can be started.
pub async fn hand_on(engine: &Engine, stored: &Stored) -> Result<(), Error> {
    let lease = lease::take(engine, &stored.run, stored.epoch).await?;
    Box::pin(reconcile::hand_on(engine, &stored.run.id, &lease)).await
}

/// How often it is looked whether all wait.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn waits_for_people(run: &Run) -> bool {
    let waits = matches!(run.status, Status::Paused { reason, .. } if reason.is_missing());
    waits && run.is_coordinating()
}

/// Whether no child has a process, however deep.
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

/// What another process worked for that is dead goes on here, at once.
async fn bring_back(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    let mut looked_at = vec![run_id.clone()];
    while let Some(run_id) = looked_at.pop() {
        let Some(stored) = engine.store().load(&run_id).await? else { continue };
        let waits = matches!(stored.run.status, Status::Pending { .. }) && stored.lease.is_none();
        let stored = if is_top(&stored.run) && waits {
            // For this very process.
            stored
        } else {
            Box::pin(reconcile::reconcile(engine, stored)).await?
        };
        looked_at.extend(children(&stored.run));
    }
    Ok(())
}

/// Turns orders into what they mean for a family. Never ends by itself.
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
            let stop = Stop { cause: CancelCause::Interrupted, by: None, grace };
            Box::pin(ask::begin_stop(engine, run_id, &stop)).await?;
        }
        if orders.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
