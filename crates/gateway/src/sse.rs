//! Streams of server-sent events (`text/event-stream` of the HTML standard).
//!
//! The body is produced as the client reads it: a slow client blocks only the task of its
//! connection. Unread data is bounded by the connection's buffer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use crate::follow::{Follow, FollowMany};
use crate::leave::Leave;
use crate::refusal::Refusal;

/// Media type of a stream.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";
/// Header in which a reconnecting client names its last event.
pub(crate) const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Heartbeat: a comment, which clients ignore.
const BEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// Returns a stream of one run.
pub(crate) fn of_one(follow: Follow, heartbeat: Duration, leave: Option<Leave>) -> Response {
    let beat_at = Instant::now() + heartbeat;
    let state = (Box::new(follow), beat_at, leave);
    let body = stream::unfold(state, move |(mut follow, beat_at, mut leave)| async move {
        match timeout_at(beat_at, follow.next()).await {
            Ok(Some(frame)) => {
                if let (true, Some(leave)) = (follow.is_over(), &mut leave) {
                    leave.stay();
                }
                let state = (follow, Instant::now() + heartbeat, leave);
                Some((Ok::<_, std::convert::Infallible>(frame.sse()), state))
            }
            Ok(None) => None,
            Err(_) => Some((Ok(BEAT), (follow, Instant::now() + heartbeat, leave))),
        }
    });
    response(Body::from_stream(body))
}

/// Returns a stream of many runs.
pub(crate) fn of_many(follow: FollowMany, heartbeat: Duration) -> Response {
    let state = (Box::new(follow), Instant::now() + heartbeat);
    let body = stream::unfold(state, move |(mut follow, beat_at)| async move {
        match timeout_at(beat_at, follow.next()).await {
            Ok(Some(frame)) => {
                let state = (follow, Instant::now() + heartbeat);
                Some((Ok::<_, std::convert::Infallible>(frame.sse_of_many()), state))
            }
            Ok(None) => None,
            Err(_) => Some((Ok(BEAT), (follow, Instant::now() + heartbeat))),
        }
    });
    response(Body::from_stream(body))
}

/// Returns true if the request accepts a stream.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
    })
}

/// Returns the last event that a reconnecting client has.
///
/// # Errors
///
/// If the header is no text.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let value = headers.get(LAST_EVENT_ID).map(|value| value.to_str()).transpose();
    let value = value.map_err(|_| Refusal::parameter(LAST_EVENT_ID, "it is no text"))?;
    Ok(value.map(str::trim).filter(|value| !value.is_empty()))
}

fn response(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would delay events.
    let name = HeaderName::from_static("x-accel-buffering");
    headers.insert(name, HeaderValue::from_static("no"));
    response
}
