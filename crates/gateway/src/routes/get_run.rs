//! `GET /v1/runs/{run_id}`: record of a run.

use axum::Json;
use axum::extract::State;
use errand_api::record::RunRecord;
use errand_engine::reconcile;

use crate::Gateway;
use crate::extract::OneRun;
use crate::record::whole_record;
use crate::refusal::Refusal;

/// Responds with the record.
pub(crate) async fn get_run(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
) -> Result<Json<RunRecord>, Refusal> {
    let stored = reconcile::reconcile(gateway.engine(), *stored).await?;
    Ok(Json(whole_record(&gateway, &stored).await?))
}
