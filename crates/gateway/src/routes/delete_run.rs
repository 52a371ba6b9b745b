//! `DELETE /v1/runs/{run_id}`: removal of a run and everything that belongs to it.

use axum::extract::State;
use axum::http::StatusCode;
use errand_api::audit::Action;
use errand_api::gateway::run::RemoveQuery;
use errand_engine::audit::{self, AuditedAction};
use errand_engine::remove::{removable, remove, remove_by_force};
use serde_json::json;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Removes the run.
pub(crate) async fn delete_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<RemoveQuery>,
) -> Result<StatusCode, Refusal> {
    let (run_id, engine) = (&stored.run.id, gateway.engine());
    let is_forced = query.force == Some(true);
    if !is_forced {
        drop(Box::pin(removable(engine, run_id)).await?);
    }
    let deed = AuditedAction {
        namespace: caller.namespace(),
        action: Action::RunRemoved,
        object: run_id.as_str(),
        by: &caller.actor(),
        detail: json!({ "agent": stored.run.spec.agent.name }),
    };
    // The audit entry comes first: it is all that remains of the run.
    audit::record(engine, deed).await?;
    // Garbage collection frees the run's blobs: others may be about to name them again.
    if is_forced {
        drop(remove_by_force(engine, run_id).await?);
    } else {
        drop(remove(engine, run_id).await?);
    }
    Ok(StatusCode::NO_CONTENT)
}
