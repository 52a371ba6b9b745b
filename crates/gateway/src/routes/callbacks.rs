//! Reports of runs, and their destinations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::gateway::callback::{
    Callback, CallbackList, CallbackPage, CallbackQuery, CallbackTarget, CallbackTargetList,
    CallbackTargetRequest,
};
use errand_engine::outbox::{self, EntryState};
use errand_engine::view;

use super::agents::page;
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
    let states: Vec<EntryState> = query.state.into_iter().map(view::callback_state).collect();
    let which = (states.as_slice(), query.cursor.as_deref(), limit + 1);
    let found = outbox::entries(gateway.engine(), caller.namespace(), which).await?;
    let (found, next_cursor) = page(found, limit, |logged| logged.id.clone());
    Ok(Json(CallbackPage {
        callbacks: found.into_iter().map(view::callback).collect(),
        next_cursor,
    }))
}

/// `POST /v1/callbacks/{callback}/redeliver`
pub(crate) async fn redeliver_callback(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<(StatusCode, Json<Callback>), Refusal> {
    let id = params.get("callback")?;
    let due = outbox::redeliver(gateway.engine(), caller.namespace(), id).await?;
    Ok((StatusCode::ACCEPTED, Json(view::callback(due))))
}

/// `GET /v1/callback-targets`
pub(crate) async fn list_callback_targets(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<CallbackTargetList>, Refusal> {
    let found = outbox::targets(gateway.engine(), caller.namespace()).await?;
    let targets = found.into_iter().map(|it| view::callback_target(it, None)).collect();
    Ok(Json(CallbackTargetList { targets }))
}

/// `POST /v1/callback-targets`
pub(crate) async fn create_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(request): JsonBody<CallbackTargetRequest>,
) -> Result<(StatusCode, Json<CallbackTarget>), Refusal> {
    let url = allowed(&gateway, &request.url).await.map_err(|refusal| refusal.at("/url"))?;
    let (made, secret) = outbox::add_target(gateway.engine(), caller.namespace(), &url).await?;
    Ok((StatusCode::CREATED, Json(view::callback_target(made, Some(&secret)))))
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
    let origin = params.get("origin")?;
    let made = outbox::enable(gateway.engine(), caller.namespace(), origin).await?;
    Ok(Json(view::callback_target(made, None)))
}

/// `POST /v1/callback-targets/{origin}/disable`
pub(crate) async fn disable_callback_target(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<CallbackTarget>, Refusal> {
    let (origin, why) = (params.get("origin")?, format!("disabled by {}", caller.name()));
    let made = outbox::disable(gateway.engine(), caller.namespace(), origin, &why).await?;
    Ok(Json(view::callback_target(made, None)))
}

/// `POST /v1/callback-targets/{origin}/rotate`
pub(crate) async fn rotate_callback_secret(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<CallbackTarget>, Refusal> {
    let origin = params.get("origin")?;
    let (made, secret) = outbox::rotate(gateway.engine(), caller.namespace(), origin).await?;
    Ok(Json(view::callback_target(made, Some(&secret))))
}
