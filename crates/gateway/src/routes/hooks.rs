//! Definitions, reads and removals of hooks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::hook::{Hook, HookDeliveryPage, HookPage, HookRequest};
use errand_engine::{hooks, view};

use super::agents::page;
use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Default number of hooks on a page.
const LIMIT: u32 = 50;
/// Largest number of hooks on a page.
const LARGEST_LIMIT: u32 = 500;

/// `GET /v1/hooks`
pub(crate) async fn list_hooks(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<HookPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = hooks::list(engine, namespace, query.cursor.as_deref(), limit + 1).await?;
    let (found, next_cursor) = page(found, limit, |found| found.name.clone());
    let hooks = found.into_iter().map(|it| view::hook(namespace, it, None)).collect();
    Ok(Json(HookPage { hooks, next_cursor }))
}

/// `PUT /v1/hooks/{hook}`
pub(crate) async fn put_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(request): JsonBody<HookRequest>,
) -> Result<(StatusCode, Json<Hook>), Refusal> {
    let name = params.get("hook")?;
    let (definition, secret) =
        view::hook_definition(request).map_err(errand_engine::Error::from)?;
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let (defined, is_new, made_up) =
        hooks::define(engine, namespace, name, (&definition, secret.as_ref())).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view::hook(namespace, defined, made_up.as_ref()))))
}

/// `GET /v1/hooks/{hook}`
pub(crate) async fn get_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Hook>, Refusal> {
    let name = params.get("hook")?;
    let found = hooks::get(gateway.engine(), caller.namespace(), name).await?;
    Ok(Json(view::hook(caller.namespace(), found, None)))
}

/// `DELETE /v1/hooks/{hook}`
pub(crate) async fn delete_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    hooks::remove(gateway.engine(), caller.namespace(), params.get("hook")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/hooks/{hook}/deliveries`
pub(crate) async fn list_hook_deliveries(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<PageQuery>,
) -> Result<Json<HookDeliveryPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace, name) = (gateway.engine(), caller.namespace(), params.get("hook")?);
    hooks::get(engine, namespace, name).await?;
    let which = (query.cursor.as_deref(), limit + 1);
    let found = hooks::deliveries(engine, namespace, name, which).await?;
    let (found, next_cursor) = page(found, limit, |logged| logged.id.clone());
    let deliveries = found.into_iter().map(view::hook_delivery).collect();
    Ok(Json(HookDeliveryPage { deliveries, next_cursor }))
}
