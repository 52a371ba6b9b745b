//! Definitions, reads and removals of hooks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::hook::{Hook, HookDeliveryPage, HookPage, HookRequest};
use errand_engine::hooks;
use errand_engine::operations::TriggerOperations as _;

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
    let after = query.cursor.as_deref();
    Ok(Json(gateway.operations(&caller).list_hooks(after, limit).await?))
}

/// `PUT /v1/hooks/{hook}`
pub(crate) async fn put_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(request): JsonBody<HookRequest>,
) -> Result<(StatusCode, Json<Hook>), Refusal> {
    let name = params.get("hook")?;
    let (defined, is_new) = gateway.local_operations(&caller).define_hook(name, request).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(defined)))
}

/// `GET /v1/hooks/{hook}`
pub(crate) async fn get_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Hook>, Refusal> {
    let name = params.get("hook")?;
    Ok(Json(hooks::get(gateway.engine(), caller.namespace(), name).await?))
}

/// `DELETE /v1/hooks/{hook}`
pub(crate) async fn delete_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    gateway.operations(&caller).remove_hook(params.get("hook")?).await?;
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
    let (name, after) = (params.get("hook")?, query.cursor.as_deref());
    Ok(Json(gateway.operations(&caller).hook_deliveries(name, after, limit).await?))
}
