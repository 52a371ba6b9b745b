//! `GET /v1/runs/{run_id}/trace`: use of time, tokens and money by a run, as a tree.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run::TraceQuery;
use errand_api::trace::Trace;
use errand_engine::operations::RunOperations as _;
use errand_engine::view::TraceAsk;
use errand_model::coordination::DEPTH_LIMIT;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{OneRun, Query};
use crate::refusal::Refusal;

/// Largest number of spans.
const LARGEST_LIMIT: u32 = 100_000;

/// Responds with the tree.
pub(crate) async fn get_trace(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<TraceQuery>,
) -> Result<Json<Trace>, Refusal> {
    let limit = page_limit(query.limit, LARGEST_LIMIT, LARGEST_LIMIT)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let ask = TraceAsk { limit, depth: query.depth.unwrap_or(DEPTH_LIMIT) };
    Ok(Json(gateway.operations(&caller).trace(&stored.run.id, ask).await?))
}
