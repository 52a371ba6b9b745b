//! `POST /v1/runs/stream`: a run, with its events as the response.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use errand_api::gateway::run::{Disconnect, FollowQuery, RunRequest};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Query};
use crate::follow::{Follow, RunSelection, types};
use crate::leave::Leave;
use crate::refusal::Refusal;
use crate::routes::create_run::location;
use crate::sse;
use crate::submit;

/// Submits the run, and streams it from its first event to its end.
pub(crate) async fn run_and_stream(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<FollowQuery>,
    JsonBody(request): JsonBody<RunRequest>,
) -> Result<Response, Refusal> {
    let types = types(&query.types)?;
    let ends_with_client = request.on_disconnect == Some(Disconnect::Cancel);
    let submitted = submit::submit(&gateway, &caller, &headers, request).await?;
    let (run_id, head) = (submitted.stored.run.id.clone(), submitted.stored.head.seq);
    let leave =
        ends_with_client.then(|| Leave::new(gateway.clone(), run_id.clone(), caller.name()));
    let wanted = RunSelection {
        after: 0,
        types,
        output: query.output.unwrap_or(true),
        log: query.log.unwrap_or(false),
    };
    let location = location(run_id.as_str());
    let follow = Follow::new(&gateway, run_id, head, wanted);
    let mut response = sse::of_one(follow, gateway.config().heartbeat, leave);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
