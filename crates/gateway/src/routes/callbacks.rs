//! Reports of runs, and their destinations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::gateway::callback::{
    Callback, CallbackList, CallbackPage, CallbackQuery, CallbackTarget, CallbackTargetList,
    CallbackTargetRequest,
};
use errand_engine::operations::{CallbackTargetChange, TriggerOperations as _};
use errand_engine::outbox;
use errand_engine::view;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::callback_url::allowed;
use crate::extract::{JsonBody, OneRun, Params, Query};
use crate::refusal::Refusal;

/// Default number of reports on a page.
const LIMIT: u32 = 50;
/// Largest number of reports on a page.
const LARGEST_LIMIT: u32 = 500;

/// `GET /v1/runs/{run_id}/deliveries`
pub(crate) async fn list_deliveries(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
) -> Result<Json<CallbackList>, Refusal> {
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = outbox::deliveries(engine, namespace, &stored.run.id).await?;
    Ok(Json(CallbackList { callbacks: found.into_iter().map(view::callback).collect() }))
}

/// `GET /v1/callbacks`
pub(crate) async fn list_callbacks(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<CallbackQuery>,
) -> Result<Json<CallbackPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let query = CallbackQuery { limit: Some(limit), ..query };
    Ok(Json(gateway.operations(&caller).list_callbacks(&query).await?))
}

/// `POST /v1/callbacks/{callback}/redeliver`
pub(crate) async fn redeliver_callback(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<(StatusCode, Json<Callback>), Refusal> {
    let id = params.get("callback")?;
    let due = gateway.operations(&caller).redeliver_callback(id).await?;
    Ok((StatusCode::ACCEPTED, Json(due)))
}

/// `GET /v1/callback-targets`
pub(crate) async fn list_callback_targets(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<CallbackTargetList>, Refusal> {
    let targets = gateway.operations(&caller).callback_targets().await?;
    Ok(Json(CallbackTargetList { targets }))
}

/// `POST /v1/callback-targets`
pub(crate) async fn create_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(request): JsonBody<CallbackTargetRequest>,
) -> Result<(StatusCode, Json<CallbackTarget>), Refusal> {
    drop(allowed(&gateway, &request.url).await.map_err(|refusal| refusal.at("/url"))?);
    let made = gateway.operations(&caller).add_callback_target(&request.url).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `DELETE /v1/callback-targets/{origin}`
pub(crate) async fn delete_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    let origin = params.get("origin")?;
    outbox::remove_target(gateway.engine(), caller.namespace(), origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/callback-targets/{origin}/enable`
pub(crate) async fn enable_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<CallbackTarget>, Refusal> {
    change(&gateway, &caller, &params, CallbackTargetChange::Enable).await
}

/// `POST /v1/callback-targets/{origin}/disable`
pub(crate) async fn disable_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<CallbackTarget>, Refusal> {
    let why = format!("disabled by {}", caller.name());
    change(&gateway, &caller, &params, CallbackTargetChange::Disable { why }).await
}

/// `POST /v1/callback-targets/{origin}/rotate`
pub(crate) async fn rotate_callback_secret(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<CallbackTarget>, Refusal> {
    change(&gateway, &caller, &params, CallbackTargetChange::RotateSecret).await
}

async fn change(
    gateway: &Gateway,
    caller: &Caller,
    params: &Params,
    change: CallbackTargetChange,
) -> Result<Json<CallbackTarget>, Refusal> {
    let origin = params.get("origin")?;
    Ok(Json(gateway.operations(caller).change_callback_target(origin, change).await?))
}
