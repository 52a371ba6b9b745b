//! `GET /v1/events`: stream of the events of a set of runs.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::run::{RunQuery, SetQuery};
use errand_store::Filter;

use super::list_runs::filter;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::follow::{EventPosition, FollowMany, Which, types};
use crate::refusal::Refusal;
use crate::sse::{self, LAST_EVENT_ID};

/// Responds with a stream that ends only with the gateway.
pub(crate) async fn follow_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<SetQuery>,
) -> Result<Response, Refusal> {
    if !sse::is_wanted(&headers) {
        let detail = "the events of many runs are a stream, which the request does not accept";
        return Err(Refusal::new(ErrorCode::AcceptUnsupported, detail)
            .at("Accept")
            .hint("send `Accept: text/event-stream`"));
    }
    let given = sse::last_event_id(&headers)?;
    let (name, text) = match given {
        Some(text) => (LAST_EVENT_ID, Some(text)),
        None => ("after", query.after.as_deref()),
    };
    let named = text.map(EventPosition::all).transpose();
    let named = named.map_err(|error| Refusal::parameter(name, error.to_string()))?;
    let runs = RunQuery {
        agent: query.agent,
        session_id: query.session_id,
        label: query.label,
        status: query.status,
        ..RunQuery::default()
    };
    let Filter { namespaces, agent, session_id, labels, status, .. } = filter(&caller, runs)?;
    let which = Which { namespaces, agent, session_id, labels, status };
    let types = types(&query.types)?;
    let follow = FollowMany::start(&gateway, which, types, &named.unwrap_or_default()).await?;
    Ok(sse::of_many(follow, gateway.config().heartbeat))
}
