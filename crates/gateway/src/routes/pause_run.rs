//! `POST /v1/runs/{run_id}/pause`: freezes all processes of a run.

use axum::Json;
use axum::extract::State;
use errand_api::record::RunRecord;
use errand_engine::ask;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::OneRun;
use crate::record::whole_record;
use crate::refusal::Refusal;

/// Responds once no process of the run executes.
pub(crate) async fn pause_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<RunRecord>, Refusal> {
    let held = ask::pause(gateway.engine(), &stored.run.id, Some(caller.name())).await?;
    Ok(Json(whole_record(&gateway, &held).await?))
}
