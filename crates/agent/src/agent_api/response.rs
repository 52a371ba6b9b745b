//! Responses of the agent API.

use errand_api::agent_protocol::AgentApiProblem;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::Refusal;
use super::body::Answer;
use super::control::Stream;

/// Creates a response with status 200 and a JSON document.
pub(super) fn ok(document: &impl Serialize) -> Result<Response<Answer>, Refusal> {
    let bytes = serde_json::to_vec(document)
        .map_err(|error| Refusal::internal(format!("the answer cannot be written: {error}")))?;
    Ok(ok_bytes(bytes))
}

/// Creates a response with status 200 and a JSON document that is already encoded.
pub(super) fn ok_bytes(json: Vec<u8>) -> Response<Answer> {
    response(StatusCode::OK, "application/json", json)
}

/// Creates a response with status 200 and server-sent events.
pub(super) fn ok_events(stream: Stream) -> Response<Answer> {
    let mut response = Response::new(Answer::Events(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Creates the response for a refusal.
pub(super) fn refused(refusal: Refusal) -> Response<Answer> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A problem is plain data with string keys, and therefore can be encoded.
    let body = serde_json::to_vec(&refusal.into_problem()).unwrap_or_default();
    response(status, AgentApiProblem::MEDIA_TYPE, body)
}

/// Creates the response for a refusal, with one more header.
pub(super) fn with_header(refusal: Refusal, name: HeaderName, value: &str) -> Response<Answer> {
    let mut response = refused(refusal);
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn response(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
