//! `POST /v1/runs`: a run in the background.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::run::RunRequest;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::record::whole_record;
use crate::refusal::Refusal;
use crate::submit::{self, Submitted};

/// Submits the run.
pub(crate) async fn create_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RunRequest>,
) -> Result<Response, Refusal> {
    let submitted = submit::submit(&gateway, &caller, &headers, request).await?;
    queued(&gateway, submitted).await
}

/// Responds that a run is queued, or existed before.
pub(crate) async fn queued(gateway: &Gateway, submitted: Submitted) -> Result<Response, Refusal> {
    let status = if submitted.is_old { StatusCode::OK } else { StatusCode::ACCEPTED };
    let record = whole_record(gateway, &submitted.stored).await?;
    let location = location(record.run_id.as_str());
    Ok((status, [(header::LOCATION, location)], Json(record)).into_response())
}

/// Returns the path of a run.
pub(crate) fn location(run_id: &str) -> String {
    format!("/v1/runs/{run_id}")
}
