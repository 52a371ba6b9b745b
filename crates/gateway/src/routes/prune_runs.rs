//! `POST /v1/prune`: all runs that are over are removed.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::prune::{PruneRuns, Pruned};
use errand_engine::remove::{plan_prune, remove};
use errand_model::Timestamp;
use errand_store::Namespaces;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::refusal::Refusal;

/// Removes them, or says which it would.
pub(crate) async fn prune_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(body): JsonBody<PruneRuns>,
) -> Result<Json<Pruned>, Refusal> {
    let engine = gateway.engine();
    let now = Timestamp::from_millis(engine.now().as_millis().saturating_add(1));
    let before = body.ended_before_ms.map_or(now, Timestamp::from_millis);
    let whose = Namespaces::One(caller.namespace);
    let plan = Box::pin(plan_prune(engine, &whose, before)).await?;
    let mut run_ids = Vec::new();
    for stored in plan.runs {
        if !body.dry_run {
            Box::pin(remove(engine, &stored.run.id)).await?;
        }
        run_ids.push(stored.run.id);
    }
    Ok(Json(Pruned { run_ids, dead_letters: plan.dead_letters }))
}
