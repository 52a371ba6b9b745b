//! `DELETE /v1/runs/{run_id}`: a run and everything that belongs to it.

use axum::extract::State;
use axum::http::StatusCode;
use errand_api::audit::Action;
use errand_api::gateway::run::RemoveQuery;
use errand_engine::audit::{self, Deed};
use errand_engine::remove::{removable, remove, remove_by_force};
use serde_json::json;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Removes it.
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
    let deed = Deed {
        namespace: caller.namespace(),
        action: Action::RunRemoved,
        object: run_id.as_str(),
        by: &caller.actor(),
        detail: json!({ "agent": stored.run.spec.agent.name }),
    };
    // First: that somebody removed it is all that is left of it.
    audit::record(engine, deed).await?;
    // What it named is freed by the server's loop: others may be about to name it again.
    if is_forced {
        drop(remove_by_force(engine, run_id).await?);
    } else {
        drop(remove(engine, run_id).await?);
    }
    Ok(StatusCode::NO_CONTENT)
}
