//! `POST /v1/runs/{run_id}/wake`: wake of a service on request.

use axum::extract::State;
use axum::response::Response;
use errand_api::gateway::run::WakeRequest;
use errand_engine::ask::{Wake, wake};

use super::create_run::queued;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::refusal::Refusal;
use crate::submit::{Submitted, input, stored};

/// Responds once the wake's run is admitted.
pub(crate) async fn wake_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(service): OneRun,
    JsonBody(request): JsonBody<WakeRequest>,
) -> Result<Response, Refusal> {
    let input = request.input.as_ref().map(input).transpose()?;
    let asked = Wake { input, by: Some(caller.name()) };
    let woken = wake(gateway.engine(), &service.run.id, &asked).await?;
    let stored = Box::new(stored(&gateway, &woken).await?);
    queued(&gateway, Submitted { stored, is_old: false }).await
}
