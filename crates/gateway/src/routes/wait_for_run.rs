//! `GET /v1/runs/{run_id}/wait`: wait for the end of a run.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use errand_api::gateway::run::WaitQuery;

use crate::Gateway;
use crate::extract::{OneRun, Query};
use crate::over::answer;
use crate::refusal::Refusal;
use crate::submit::duration;

/// Responds once the run is over.
pub(crate) async fn wait_for_run(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    Query(query): Query<WaitQuery>,
) -> Result<Response, Refusal> {
    answer(&gateway, &stored.run.id, limit(&query)?, None).await
}

/// Parses the time limit of the wait.
pub(crate) fn limit(query: &WaitQuery) -> Result<Option<Duration>, Refusal> {
    let read = |text: &String| duration(text, "timeout").map_err(Refusal::coded_as_parameter);
    query.timeout.as_ref().map(read).transpose()
}
