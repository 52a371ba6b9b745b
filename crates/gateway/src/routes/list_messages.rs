//! `GET /v1/runs/{run_id}/messages`: messages between agents.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run::MessageQuery;
use errand_api::message::MessagePage;
use errand_engine::operations::RunOperations as _;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Default number of messages on a page.
const LIMIT: u32 = 500;
/// Largest number of messages on a page.
const LARGEST_LIMIT: u32 = 5_000;

/// Lists a page of messages.
pub(crate) async fn list_messages(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<MessageQuery>,
) -> Result<Json<MessagePage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let part = (query.after.unwrap_or(0), usize::try_from(limit).unwrap_or(usize::MAX));
    let messages = gateway.operations(&caller).messages(&stored.run.id, part, query.kind).await?;
    Ok(Json(messages))
}
