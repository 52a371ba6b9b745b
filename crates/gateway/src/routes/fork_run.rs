//! `POST /v1/runs/{run_id}/fork`: repetition of a run from one of its steps on.

use axum::extract::State;
use axum::response::Response;
use errand_api::gateway::run::ForkRequest;
use errand_engine::again;

use super::create_run::queued;
use crate::Gateway;
use crate::again::start;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::refusal::Refusal;
use crate::submit::input;

/// Queues the new run.
pub(crate) async fn fork_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(request): JsonBody<ForkRequest>,
) -> Result<Response, Refusal> {
    let mut submission = again::fork(gateway.engine(), &stored.run.id, &request.from_step).await?;
    if let Some(value) = &request.input {
        submission.input = Some(input(value)?);
    }
    if request.model_route.is_some() {
        submission.options.model_route = request.model_route;
    }
    queued(&gateway, start(&gateway, &caller, submission).await?).await
}
