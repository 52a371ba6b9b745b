//! `GET /v1/runs/{run_id}/events`: journal of a run, as a page or as a stream.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::run::{EventPage, EventQuery};
use errand_model::Event;
use errand_store::Stored;
use serde_json::Value;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::extract::{OneRun, Query};
use crate::follow::{Follow, RunSelection, has, types};
use crate::refusal::Refusal;
use crate::sse::{self, LAST_EVENT_ID};

/// Default number of events on a page.
const LIMIT: u32 = 500;
/// Largest number of events on a page.
const LARGEST_LIMIT: u32 = 5_000;

/// Responds with a page, or with a stream if the request accepts one.
pub(crate) async fn list_events(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Response, Refusal> {
    if sse::is_wanted(&headers) {
        return stream(&gateway, *stored, &headers, &query);
    }
    Ok(Json(page(&gateway, &stored, &query).await?).into_response())
}

fn stream(
    gateway: &Gateway,
    stored: Stored,
    headers: &HeaderMap,
    query: &EventQuery,
) -> Result<Response, Refusal> {
    let given = sse::last_event_id(headers)?;
    let after = given.map(str::parse).transpose().map_err(|_| {
        let detail = format!("{given:?} is not the number of an event");
        Refusal::parameter(LAST_EVENT_ID, detail)
    })?;
    let after = after.or(query.after).unwrap_or(0);
    let head = stored.head.seq;
    if after > head {
        let name = if given.is_some() { LAST_EVENT_ID } else { "after" };
        let detail = format!("the run has {head} events, and no event {after}");
        return Err(Refusal::parameter(name, detail));
    }
    let wanted = RunSelection {
        after,
        types: types(&query.types)?,
        output: query.output.unwrap_or(true),
        log: query.log.unwrap_or(false),
    };
    let follow = Follow::new(gateway, stored.run.id, head, wanted);
    Ok(sse::of_one(follow, gateway.config().heartbeat, None))
}

async fn page(
    gateway: &Gateway,
    stored: &Stored,
    query: &EventQuery,
) -> Result<EventPage, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = types(&query.types)?;
    let mut after = query.after.unwrap_or(0);
    let mut events: Vec<Value> = Vec::new();
    loop {
        let read = gateway.engine().store().events(&stored.run.id, after, limit).await?;
        let is_last = read.len() < most;
        for event in read {
            after = event.seq;
            if has(&wanted, &event.kind) {
                events.push(line(&event)?);
            }
            if events.len() == most {
                break;
            }
        }
        let is_full = events.len() == most;
        if is_last || is_full {
            let next_after = (!is_last || is_full).then_some(after);
            let is_over = stored.run.status.is_terminal();
            return Ok(EventPage { events, next_after, is_over });
        }
    }
}

/// Converts an event into the format of `errand events --json`.
fn line(event: &Event) -> Result<Value, Refusal> {
    serde_json::from_str(&event.to_json_line()).map_err(|error| {
        let code = errand_api::error_code::ErrorCode::JournalBroken;
        Refusal::new(code, format!("event {} cannot be read: {error}", event.seq))
    })
}
