//! `GET /v1/runs/{run_id}/brief`: the brief of a run.

use axum::Json;
use axum::extract::State;
use errand_api::brief::BriefPage;
use errand_engine::operations::RunOperations as _;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Responds with the brief.
pub(crate) async fn get_brief(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<BriefPage>, Refusal> {
    Ok(Json(gateway.operations(&caller).brief(&stored.run.id).await?))
}
