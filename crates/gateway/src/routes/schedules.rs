//! Schedules of the server.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::schedule::{FiredRun, Schedule, SchedulePage, ScheduleRequest};
use errand_engine::operations::TriggerOperations as _;
use errand_engine::schedules::{self, Existing};

use super::create_run::location;
use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Default number of schedules on a page.
const LIMIT: u32 = 50;
/// Largest number of schedules on a page.
const LARGEST_LIMIT: u32 = 500;

/// `GET /v1/schedules`
pub(crate) async fn list_schedules(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<SchedulePage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let after = query.cursor.as_deref();
    Ok(Json(gateway.operations(&caller).list_schedules(after, limit).await?))
}

/// `POST /v1/schedules`
pub(crate) async fn create_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(request): JsonBody<ScheduleRequest>,
) -> Result<Response, Refusal> {
    let name = match &request.name {
        Some(name) => name.clone(),
        None => gateway.engine().new_run_id()?.to_string(),
    };
    define(&gateway, &caller, (&name, Existing::Refuse), request).await
}

/// `PUT /v1/schedules/{schedule}`
pub(crate) async fn put_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(request): JsonBody<ScheduleRequest>,
) -> Result<Response, Refusal> {
    let name = params.get("schedule")?;
    if request.name.as_ref().is_some_and(|given| given != name) {
        let detail = "the body names another schedule than the path";
        return Err(Refusal::field(ErrorCode::ScheduleInvalid, "/name", detail));
    }
    define(&gateway, &caller, (name, Existing::Change), request).await
}

async fn define(
    gateway: &Gateway,
    caller: &Caller,
    (name, existing): (&str, Existing),
    request: ScheduleRequest,
) -> Result<Response, Refusal> {
    let local = gateway.local_operations(caller);
    let (defined, is_new) = local.define_schedule(name, existing, request).await?;
    if !is_new {
        return Ok(Json(defined).into_response());
    }
    let path = format!("/v1/schedules/{name}");
    Ok((StatusCode::CREATED, [(header::LOCATION, path)], Json(defined)).into_response())
}

/// `GET /v1/schedules/{schedule}`
pub(crate) async fn get_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Schedule>, Refusal> {
    let name = params.get("schedule")?;
    Ok(Json(schedules::get(gateway.engine(), caller.namespace(), name).await?))
}

/// `DELETE /v1/schedules/{schedule}`
pub(crate) async fn delete_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    let name = params.get("schedule")?;
    gateway.operations(&caller).remove_schedule(name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/schedules/{schedule}/pause`
pub(crate) async fn pause_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Schedule>, Refusal> {
    let name = params.get("schedule")?;
    Ok(Json(gateway.operations(&caller).pause_schedule(name).await?))
}

/// `POST /v1/schedules/{schedule}/resume`
pub(crate) async fn resume_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Schedule>, Refusal> {
    let name = params.get("schedule")?;
    Ok(Json(gateway.operations(&caller).resume_schedule(name).await?))
}

/// `POST /v1/schedules/{schedule}/fire`
pub(crate) async fn fire_schedule(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    let name = params.get("schedule")?;
    let run_id = gateway.operations(&caller).fire_schedule(name).await?;
    let path = location(run_id.as_str());
    let answer = Json(FiredRun { run_id });
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, path)], answer).into_response())
}
