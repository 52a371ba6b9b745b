//! `POST /v1/runs/{run_id}/retry`: a new run that continues a failed one.

use axum::extract::State;
use axum::response::Response;
use errand_api::gateway::run::RetryRequest;
use errand_engine::again;

use super::create_run::queued;
use crate::Gateway;
use crate::again::{choice, start};
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::refusal::Refusal;

/// Queues the new run.
pub(crate) async fn retry_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(request): JsonBody<RetryRequest>,
) -> Result<Response, Refusal> {
    let choice = choice(request.version, request.latest)?;
    let submission = again::retry(gateway.engine(), &stored.run.id).await?;
    let submission = again::chosen(gateway.engine(), submission, choice).await?;
    queued(&gateway, start(&gateway, &caller, submission).await?).await
}
