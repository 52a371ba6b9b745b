//! Families: a coordinator without a placement by its caller, and all runs that it starts. One
//! process works for all of them: a worker that takes no other run ([`crate::family_worker`]).

use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_model::RunId;
use errand_model::run::{Run, RunAttempt, Status};
use errand_store::{DocumentKind, DocumentOrder, DocumentQuery, Namespaces};
use futures_util::future::BoxFuture;

use crate::Engine;

/// Label that binds the runs of a family to the process that works for it: the id of the
/// coordinator at its top.
pub(crate) const FAMILY: &str = "errand.dev/family";

/// Returns the coordinator at the top of the family that a run belongs to, if one process works for
/// it.
pub(crate) fn of(run: &Run) -> Option<&str> {
    let placement = run.spec.placement.as_ref()?;
    placement.demands.affinity.get(FAMILY).map(String::as_str)
}

/// Returns true for a run at the top of a family.
pub(crate) fn is_top(run: &Run) -> bool {
    of(run) == Some(run.id.as_str())
}

/// Time for which the process of a waiting family may still be starting.
const STARTING: Duration = Duration::from_secs(10);

/// Returns true if the process lives that works for the family of which this run is the top.
pub(crate) fn is_kept<'a>(
    engine: &'a Engine,
    run: &'a Run,
) -> BoxFuture<'a, Result<bool, errand_store::Error>> {
    Box::pin(async move {
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
    })
}

/// Returns true for the top of a family whose process was here and is dead.
pub(crate) fn is_orphaned(engine: &Engine, run: &Run) -> bool {
    let is_dead = |attempt: &RunAttempt| {
        attempt.host == engine.holder().host && os::liveness(&attempt.supervisor) == Liveness::Dead
    };
    is_top(run) && run.attempts.last().is_some_and(is_dead)
}

/// Returns true if a worker of the family sent a heartbeat lately.
async fn has_worker(engine: &Engine, run_id: &RunId) -> Result<bool, errand_store::Error> {
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

pub(crate) fn worker_name(run_id: &RunId) -> String {
    format!("family-{run_id}")
}
