//! `POST /v1/prune`: removal of all terminal runs.

use axum::Json;
use axum::extract::State;
use errand_api::audit::Action;
use errand_api::gateway::prune::{PruneRuns, Pruned};
use errand_engine::audit::{self, AuditedAction};
use errand_engine::remove::{plan_prune, remove};
use errand_model::Timestamp;
use errand_store::Namespaces;
use serde_json::json;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::refusal::Refusal;

/// Removes the runs, or lists those that would be removed.
pub(crate) async fn prune_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(body): JsonBody<PruneRuns>,
) -> Result<Json<Pruned>, Refusal> {
    let engine = gateway.engine();
    let now = Timestamp::from_millis(engine.now().as_millis().saturating_add(1));
    let before = body.ended_before_ms.map_or(now, Timestamp::from_millis);
    let whose = Namespaces::One(caller.namespace.clone());
    let plan = Box::pin(plan_prune(engine, &whose, before)).await?;
    let run_ids: Vec<_> = plan.runs.into_iter().map(|stored| stored.run.id).collect();
    if !body.dry_run && !run_ids.is_empty() {
        // The audit entry comes first, so that no removal is missing there.
        let deed = AuditedAction {
            namespace: caller.namespace(),
            action: Action::RunsPruned,
            object: "prune",
            by: &caller.actor(),
            detail: json!({ "runs": run_ids.len(), "ended_before_ms": before }),
        };
        audit::record(engine, deed).await?;
        for run_id in &run_ids {
            // Garbage collection frees the runs' blobs: others may be about to name them again.
            drop(Box::pin(remove(engine, run_id)).await?);
        }
    }
    Ok(Json(Pruned { run_ids, dead_letters: plan.dead_letters }))
}
