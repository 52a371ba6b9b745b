//! `/v1/sessions`: conversations that outlive their runs.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::session::{
    CreateSession, ForgetQuery, History, HistoryQuery, PutState, SessionQuery, SessionsQuery,
    State as Document,
};
use errand_api::session::{SessionDetail, SessionList};
use errand_engine::operations::{SessionCursor, SessionOperations as _};
use errand_engine::{sessions, view};
use errand_model::{Timestamp, scoped, unscoped};
use errand_store::SessionState;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Default number of sessions and messages on a page.
const LIMIT: u32 = 50;
/// Largest number of sessions and messages on a page.
const LARGEST_LIMIT: u32 = 500;
/// Default number of messages and runs of a session.
const LAST: u32 = 100;
/// Largest number of messages and runs of a session.
const LARGEST_LAST: u32 = 10_000;
/// Length limit of a session's name.
const NAME_LIMIT_CHARS: usize = 128;

/// Lists a page of sessions.
pub(crate) async fn list_sessions(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<SessionList>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let unused_since = query.unused_since_ms.map(Timestamp::from_millis);
    Ok(Json(gateway.operations(&caller).list_sessions(unused_since, after, limit).await?))
}

/// Parses a cursor of the list.
fn cursor(text: &str) -> Result<SessionCursor, Refusal> {
    text.parse().map_err(|_| Refusal::parameter("cursor", format!("{text:?} is no cursor")))
}

fn own_name(caller: &Caller, kept: &str) -> String {
    unscoped(caller.namespace(), kept).to_owned()
}

/// Returns the stored name of a session of the caller; `None` if the name is invalid.
fn kept_name(caller: &Caller, name: &str) -> Option<String> {
    let is_name = !name.is_empty()
        && name.chars().count() <= NAME_LIMIT_CHARS
        && name.trim() == name
        // The part before a slash would be a namespace.
        && !name.chars().any(|c| c.is_control() || c == '/');
    is_name.then(|| scoped(caller.namespace(), name))
}

fn named(caller: &Caller, params: &Params) -> Result<String, Refusal> {
    let name = params.get("session_id")?;
    kept_name(caller, name).ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(ErrorCode::SessionNotFound, format!("there is no session {name:?}"))
        .hint("`errand sessions ls` lists all sessions; one begins with its first run")
}

fn nameless(name: &str) -> Refusal {
    let detail = format!("{name:?} cannot name a session");
    Refusal::new(ErrorCode::NameInvalid, detail).hint(format!(
        "1 to {NAME_LIMIT_CHARS} characters without slashes, control characters and blanks at the \
         ends"
    ))
}

/// Creates a session.
pub(crate) async fn create_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(body): JsonBody<CreateSession>,
) -> Result<Response, Refusal> {
    let name = match body.session_id {
        Some(name) => name,
        None => format!("ses-{}", gateway.engine().new_run_id()?),
    };
    let session_id = kept_name(&caller, &name).ok_or_else(|| nameless(&name).at("/session_id"))?;
    let store = gateway.engine().store();
    if store.session_summary(&session_id).await?.is_some() {
        let detail = format!("there is a session {name:?} already");
        return Err(Refusal::field(ErrorCode::SessionConflict, "/session_id", detail));
    }
    let document = put(&gateway, (session_id, name.clone()), body.state, 0).await?;
    let mut response = (StatusCode::CREATED, Json(document)).into_response();
    let path = format!("/v1/sessions/{}", percent(&name));
    if let Ok(path) = HeaderValue::from_str(&path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

/// Percent-encodes a name as one segment of a path.
fn percent(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path = format!("{path}%{byte:02X}");
        }
        path
    })
}

/// Returns all facts about a session.
pub(crate) async fn get_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<SessionQuery>,
) -> Result<Json<SessionDetail>, Refusal> {
    let name = named(&caller, &params)?;
    let last = query.last.unwrap_or(LAST).min(LARGEST_LAST);
    let own = own_name(&caller, &name);
    let detail = gateway.operations(&caller).session(&own, last).await?;
    Ok(Json(detail.ok_or_else(|| not_found(&own))?))
}

/// Removes a session.
pub(crate) async fn delete_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<ForgetQuery>,
) -> Result<StatusCode, Refusal> {
    let name = named(&caller, &params)?;
    let unused_since = query.unused_since_ms.map(Timestamp::from_millis);
    if sessions::remove(gateway.engine(), &name, unused_since).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    if gateway.engine().store().session_summary(&name).await?.is_some() {
        let detail = "the session was used since";
        return Err(Refusal::new(ErrorCode::SessionBusy, detail).at("unused_since_ms"));
    }
    Err(not_found(&own_name(&caller, &name)))
}

/// Lists messages.
pub(crate) async fn get_session_history(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>, Refusal> {
    let name = named(&caller, &params)?;
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    if gateway.engine().store().session_summary(&name).await?.is_none() {
        return Err(not_found(&own_name(&caller, &name)));
    }
    let messages = sessions::history(gateway.engine(), &name, query.before, limit + 1).await?;
    let mut messages = view::messages(messages);
    let has_more = messages.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        messages.remove(0);
    }
    let next_before = messages.first().filter(|_| has_more).map(|first| first.number);
    Ok(Json(History { messages, next_before }))
}

/// Responds with the state document.
pub(crate) async fn get_session_state(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    let name = named(&caller, &params)?;
    let session_id = own_name(&caller, &name);
    let store = gateway.engine().store();
    let document = match store.session(&name).await? {
        Some(kept) => Document { session_id, revision: kept.revision, state: kept.state },
        None if store.session_summary(&name).await?.is_some() => {
            Document { session_id, revision: 0, state: serde_json::Value::Null }
        }
        None => return Err(not_found(&session_id)),
    };
    Ok(with_revision(document))
}

/// Replaces the state document.
pub(crate) async fn put_session_state(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(body): JsonBody<PutState>,
) -> Result<Response, Refusal> {
    let name = params.get("session_id")?.to_owned();
    let kept = kept_name(&caller, &name).ok_or_else(|| nameless(&name).at("session_id"))?;
    Ok(with_revision(put(&gateway, (kept, name), body.state, body.revision).await?))
}

async fn put(
    gateway: &Gateway,
    (kept, name): (String, String),
    state: serde_json::Value,
    seen: u64,
) -> Result<Document, Refusal> {
    let updated_at = gateway.engine().now();
    let new = SessionState { session_id: kept, revision: seen, state: state.clone(), updated_at };
    let revision = gateway.engine().store().put_session(new, seen).await?;
    Ok(Document { session_id: name, revision, state })
}

fn with_revision(document: Document) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", document.revision));
    let mut response = Json(document).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
