//! `POST /v1/runs/{run_id}/resume`: continues a paused run, with a raised budget if need be.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run::ResumeRequest;
use errand_api::record::RunRecord;
use errand_engine::ask;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::record::whole_record;
use crate::refusal::Refusal;
use crate::submit::{limits, stored};

/// Resumes the run.
pub(crate) async fn resume_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(run): OneRun,
    JsonBody(request): JsonBody<ResumeRequest>,
) -> Result<Json<RunRecord>, Refusal> {
    let run_id = &run.run.id;
    let engine = gateway.engine();
    let raise = request.raise.map(|it| limits(&it, "/raise")).transpose()?.unwrap_or_default();
    let mut goes_on = true;
    if !raise.is_empty() {
        let raised = ask::raise(engine, run_id, &raise, caller.name()).await?;
        // A run that is not paused has what it needs.
        goes_on = raised.run.is_held();
    }
    if goes_on {
        ask::resume(engine, run_id, Some(caller.name())).await?;
    }
    let stored = stored(&gateway, run_id).await?;
    Ok(Json(whole_record(&gateway, &stored).await?))
}
