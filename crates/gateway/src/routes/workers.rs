//! `GET /v1/workers`: who carries runs out.

use axum::Json;
use axum::extract::State;
use errand_api::worker::Workers;
use errand_engine::workers;

use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;

/// Answers with all workers. Of what they do, a caller sees its own runs.
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
