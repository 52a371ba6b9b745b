//! `POST /v1/runs/{run_id}/cancel`: cancellation of a run.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::run::{CancelQuery, CancelRequest};
use errand_engine::ask::{begin_cancel, cancel};
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun, Query};
use crate::record::whole_record;
use crate::refusal::Refusal;
use crate::submit::duration;

/// Default time that an agent has to exit.
const GRACE: Duration = Duration::from_secs(10);

/// Requests the cancellation, and waits for the end if that is wanted.
pub(crate) async fn cancel_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<CancelQuery>,
    JsonBody(request): JsonBody<CancelRequest>,
) -> Result<Response, Refusal> {
    let grace = grace(request.grace_period.as_deref(), request.force)?;
    let how = Cancel { cause: CancelCause::Stopped, by: Some(caller.name()), grace };
    let run_id = &stored.run.id;
    let engine = gateway.engine();
    let stored = if query.wait == Some(true) {
        cancel(engine, run_id, &how).await?
    } else {
        begin_cancel(engine, run_id, &how).await?
    };
    let is_over = stored.run.status.is_terminal();
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(whole_record(&gateway, &stored).await?)).into_response())
}

/// Returns the time that an agent has to exit.
pub(crate) fn grace(period: Option<&str>, force: Option<bool>) -> Result<Duration, Refusal> {
    if force == Some(true) {
        return Ok(Duration::ZERO);
    }
    period.map_or(Ok(GRACE), |text| duration(text, "/grace_period"))
}
