//! `GET /v1/workers`: workers and their runs.

use axum::Json;
use axum::extract::State;
use errand_api::worker::Workers;
use errand_engine::workers;

use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;

/// Lists all workers. A caller sees only the runs of its own namespace.
pub(crate) async fn list_workers(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Workers>, Refusal> {
    let mut found = workers::list(gateway.engine()).await?;
    let own = caller.namespace().unwrap_or(errand_model::DEFAULT_NAMESPACE);
    for worker in &mut found {
        worker.runs.retain(|run| run.namespace == own);
    }
    Ok(Json(Workers::of(found)))
}
