//! `GET /v1/find-runs`: search for runs by id, name or part of an id.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run_find::{FindQuery, FoundRuns};
use errand_engine::operations::RunOperations as _;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Lists matching runs of the caller's namespace.
pub(crate) async fn find_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<FindQuery>,
) -> Result<Json<FoundRuns>, Refusal> {
    let runs = gateway.operations(&caller).find_runs(&query.text).await?;
    Ok(Json(FoundRuns { runs }))
}
