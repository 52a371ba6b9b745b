//! A coordinator that nobody placed, and all that it starts: carried out by one process, a worker
//! that takes nothing else. If that process dies, whoever looks at the coordinator next starts
//! another one, which goes on where the first one was.

use std::sync::Arc;

use errand_agent::os::{self, Liveness};
use errand_model::RunId;
use errand_model::event::CancelCause;
use errand_model::run::Run;
use errand_store::Stored;
use tokio::sync::watch;

use super::FAMILY;
use crate::ask::{self, Stop};
use crate::supervise::Orders;
use crate::worker::{self, Options, Until};
use crate::{Engine, Error, reconcile, wait};

/// How long agents have to end by themselves when a person interrupts; the second time they have
/// none.
const INTERRUPTED_GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// The coordinator at the top of the family that a run belongs to, if one process works for it.
pub fn of(run: &Run) -> Option<&str> {
    let placement = run.spec.placement.as_ref()?;
    placement.demands.affinity.get(FAMILY).map(String::as_str)
}

/// Whether a run is at the top of such a family.
pub fn is_top(run: &Run) -> bool {
    of(run) == Some(run.id.as_str())
}

/// Whether the process lives that works for the family of which this is the top.
pub(crate) fn is_kept(engine: &Engine, run: &Run) -> bool {
    let here = &engine.holder().host;
    let (host, process) = match run.attempts.last() {
        Some(attempt) => (&attempt.host, Some(&attempt.supervisor)),
        None => (&run.spec.host, run.spec.launcher.as_ref()),
    };
    // Processes of other machines cannot be seen from here.
    host != here || process.is_some_and(|process| os::liveness(process) == Liveness::Alive)
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
    orders: watch::Receiver<Orders>,
) -> Result<Stored, Error> {
    bring_back(engine, run_id).await?;
    let (drains, told) = watch::channel(Orders::default());
    let options = Options {
        labels: [(FAMILY.to_owned(), run_id.to_string())].into(),
        only: true,
        until: Until::Over(run_id.clone()),
        ..Options::new(format!("family-{run_id}"), slots)
    };
    let work = worker::work(engine, options, told);
    tokio::select! {
        done = work => done.map(drop)?,
        never = obey(engine, run_id, orders, Arc::new(drains)) => never?,
    }
    wait::load(engine, run_id).await
}

/// What another process worked for that is dead goes on here, at once.
async fn bring_back(engine: &Engine, run_id: &RunId) -> Result<(), Error> {
    let mut looked_at = vec![run_id.clone()];
    while let Some(run_id) = looked_at.pop() {
        let Some(stored) = engine.store().load(&run_id).await? else { continue };
        let stored = Box::pin(reconcile::reconcile(engine, stored)).await?;
        let coordination = stored.run.coordination.iter();
        looked_at.extend(coordination.flat_map(|it| it.live.values()).map(|it| it.run_id.clone()));
    }
    Ok(())
}

/// Turns orders into what they mean for a family. Never ends by itself.
async fn obey(
    engine: &Engine,
    run_id: &RunId,
    mut orders: watch::Receiver<Orders>,
    drains: Arc<watch::Sender<Orders>>,
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
            let grace = if interrupts > 1 { std::time::Duration::ZERO } else { INTERRUPTED_GRACE };
            let stop = Stop { cause: CancelCause::Interrupted, by: None, grace };
            Box::pin(ask::begin_stop(engine, run_id, &stop)).await?;
        }
        if orders.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
