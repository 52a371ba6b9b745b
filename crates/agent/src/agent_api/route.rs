//! Routes of the agent API: from a request to its call, and from its result to an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use errand_api::agent_protocol::{AgentApiProblem, path};
use errand_api::error_code::ErrorCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Answer;
use super::control::Stream;
use super::server::Context;
use super::{Refusal, call};

/// A path that is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Checkin,
    BeginStep(String),
    CompleteStep(String),
    FailStep(String),
    Checkpoint,
    Events,
    Reserve,
    Release(String),
    Output,
    Artifact(String),
    Brief,
    Session,
    SessionMessages,
    SessionResult(String),
    Control,
    Checkback,
    Approvals,
    Inputs,
    SendMessage,
    NextMessage,
    HandOver,
}

impl Route {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            path::CHECKIN => Self::Checkin,
            path::CHECKPOINT => Self::Checkpoint,
            path::EVENTS => Self::Events,
            path::RESERVATIONS => Self::Reserve,
            path::OUTPUT => Self::Output,
            path::BRIEF => Self::Brief,
            path::SESSION => Self::Session,
            path::SESSION_MESSAGES => Self::SessionMessages,
            path::CONTROL => Self::Control,
            path::CHECKBACK => Self::Checkback,
            path::APPROVALS => Self::Approvals,
            path::INPUTS => Self::Inputs,
            path::MESSAGES => Self::SendMessage,
            path::NEXT_MESSAGE => Self::NextMessage,
            path::HANDOFF => Self::HandOver,
            _ => return Self::named(path),
        })
    }

    /// Finds the paths that end in a name. A slash in a name may be encoded or not.
    fn named(path: &str) -> Option<Self> {
        if let Some(name) = path.strip_prefix(path::ARTIFACTS) {
            return path::decode(name).map(Self::Artifact);
        }
        if let Some(tool) = path.strip_prefix(path::SESSION_RESULTS) {
            return path::decode(tool).map(Self::SessionResult);
        }
        if let Some(id) = path.strip_prefix(path::RESERVATIONS) {
            return path::decode(id.strip_prefix('/')?).map(Self::Release);
        }
        let (key, verb) = path.strip_prefix(path::STEPS)?.rsplit_once('/')?;
        let key = path::decode(key)?;
        match verb {
            "begin" => Some(Self::BeginStep(key)),
            "complete" => Some(Self::CompleteStep(key)),
            "fail" => Some(Self::FailStep(key)),
            _ => None,
        }
    }

    const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Checkin
            | Self::BeginStep(_)
            | Self::CompleteStep(_)
            | Self::FailStep(_)
            | Self::Events
            | Self::Reserve
            | Self::Artifact(_)
            | Self::Checkback
            | Self::Approvals
            | Self::Inputs
            | Self::SendMessage
            | Self::HandOver => &[Method::POST],
            Self::Checkpoint | Self::Session | Self::SessionResult(_) => {
                &[Method::GET, Method::PUT]
            }
            Self::SessionMessages => &[Method::GET, Method::POST],
            Self::Release(_) => &[Method::DELETE],
            Self::Output => &[Method::POST, Method::PUT],
            Self::Brief | Self::Control | Self::NextMessage => &[Method::GET],
        }
    }
}

/// Answers one request.
pub(super) async fn answer(context: Arc<Context>, request: Request<Incoming>) -> Response<Answer> {
    match admitted(&context, &request) {
        Ok(route) => match call::carry_out(&context, route, request).await {
            Ok(response) => response,
            Err(refusal) => refused(refusal),
        },
        Err(response) => *response,
    }
}

/// Returns the route of a request if its token and method are valid, or the refusal.
fn admitted(
    context: &Context,
    request: &Request<Incoming>,
) -> Result<Route, Box<Response<Answer>>> {
    if !context.token.is_in(request.headers()) {
        let refusal = Refusal::new(
            401,
            ErrorCode::TokenInvalid,
            "the token is missing, or is not the one of this attempt",
        )
        .with_hint("send the header `Authorization: Bearer $ERRAND_TOKEN`");
        return Err(Box::new(with_header(refusal, WWW_AUTHENTICATE, "Bearer realm=\"errand\"")));
    }
    if context.revoked.load(Ordering::Acquire) {
        return Err(Box::new(refused(Refusal::fenced())));
    }
    let path = request.uri().path();
    let Some(route) = Route::find(path) else {
        let message = format!("there is nothing at {path}");
        return Err(Box::new(refused(Refusal::new(404, ErrorCode::RequestInvalid, message))));
    };
    let methods = route.methods();
    if methods.contains(request.method()) {
        return Ok(route);
    }
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("{path} does not take {}, but {allowed}", request.method());
    let refusal = Refusal::new(405, ErrorCode::RequestInvalid, message);
    Err(Box::new(with_header(refusal, ALLOW, &allowed)))
}

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

fn refused(refusal: Refusal) -> Response<Answer> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A problem is plain data with string keys, and therefore can be encoded.
    let body = serde_json::to_vec(&refusal.into_problem()).unwrap_or_default();
    response(status, AgentApiProblem::MEDIA_TYPE, body)
}

fn with_header(refusal: Refusal, name: hyper::header::HeaderName, value: &str) -> Response<Answer> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_hold_slashes_encoded_or_not() {
        let begin = |key: &str| Some(Route::BeginStep(key.to_owned()));
        assert_eq!(Route::find("/agent/v1/steps/build/begin"), begin("build"));
        assert_eq!(Route::find("/agent/v1/steps/a%2Fb%20c/begin"), begin("a/b c"));
        assert_eq!(Route::find("/agent/v1/steps/a/b/begin"), begin("a/b"));
        assert_eq!(Route::find(&path::begin_step("x/begin")), begin("x/begin"));
        assert_eq!(Route::find("/agent/v1/steps/build/eat"), None);
        assert_eq!(Route::find("/agent/v1/steps/%zz/begin"), None);
        assert_eq!(Route::find("/agent/v1/checkin/"), None);
    }
}
