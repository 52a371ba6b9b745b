//! `POST /v1/runs/wait`: a run, with its record at the end as the response.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use errand_api::gateway::run::{Disconnect, RunRequest, WaitQuery};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Query};
use crate::leave::Leave;
use crate::over::answer;
use crate::refusal::Refusal;
use crate::routes::create_run::location;
use crate::routes::wait_for_run::limit;
use crate::submit;

/// Submits the run, and responds once it is over.
pub(crate) async fn run_and_wait(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<WaitQuery>,
    JsonBody(request): JsonBody<RunRequest>,
) -> Result<Response, Refusal> {
    let limit = limit(&query)?;
    let ends_with_client = request.on_disconnect == Some(Disconnect::Cancel);
    let submitted = submit::submit(&gateway, &caller, &headers, request).await?;
    let run_id = &submitted.stored.run.id;
    let leave =
        ends_with_client.then(|| Leave::new(gateway.clone(), run_id.clone(), caller.name()));
    let mut response = answer(&gateway, run_id, limit, leave).await?;
    if let Ok(location) = HeaderValue::from_str(&location(run_id.as_str())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
