//! `POST /v1/runs/{run_id}/retry`: a run that went wrong goes on from where it stopped.

use axum::extract::State;
use axum::response::Response;
use errand_engine::again;

use super::create_run::queued;
use crate::Gateway;
use crate::again::start;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Queues the new run.
pub(crate) async fn retry_run(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
) -> Result<Response, Refusal> {
    let submission = again::retry(gateway.engine(), &stored.run.id).await?;
    queued(&gateway, start(&gateway, submission).await?).await
}
