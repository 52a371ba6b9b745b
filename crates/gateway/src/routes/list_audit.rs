//! `GET /v1/audit`: actions of administrators in the caller's namespace.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::access::{AuditPage, AuditQuery};
use errand_engine::audit;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Default number of entries on a page.
const LIMIT: u32 = 50;
/// Largest number of entries on a page.
const LARGEST_LIMIT: u32 = 500;

/// Lists a page of entries.
pub(crate) async fn list_audit(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let found = audit::list(gateway.engine(), caller.namespace(), query.cursor, limit).await?;
    let is_full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = found.last().filter(|_| is_full).map(|listed| listed.id.clone());
    let entries = found.into_iter().map(|listed| listed.entry).collect();
    Ok(Json(AuditPage { entries, next_cursor }))
}
