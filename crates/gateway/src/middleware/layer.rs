//! Outermost middleware: request id, metrics, request log and security headers for every response.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::{cross_site, headers, line_end};
use crate::Gateway;
use crate::auth::{CallerKey, MatchedRoute};
use crate::peer::Peer;
use crate::sse;

/// Header with the request's id, in requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Length limit of a client's request id; longer ones are replaced.
const ID_LIMIT: usize = 128;
/// Route label in metrics for requests that match no route.
const NO_ROUTE: &str = "none";

/// Middleware around all others.
pub(crate) async fn outermost(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let line = Line::of(&request);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let response = match admitted(&gateway, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let mut response = line_end::add(response, &method).await;
    headers::add(response.headers_mut(), gateway.config().tls.is_some());
    response.headers_mut().insert(REQUEST_ID, id.clone());
    if is_stream(&response) {
        let open = gateway.metrics().open();
        response = response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _open = &open;
                frame
            }))
        });
    }
    let route = response.extensions().get::<MatchedRoute>().map_or(NO_ROUTE, |asked| asked.0.id);
    let status = response.status().as_u16();
    let took = began.elapsed();
    gateway.metrics().answered(route, status, took);
    let key = response.extensions().get::<CallerKey>().map_or("-", |known| known.0.as_str());
    tracing::info!(
        target: "errand::access",
        request_id = id.to_str().unwrap_or("-"),
        method = line.method,
        path = line.path,
        status,
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        peer = line.peer,
        key,
        route,
        "request"
    );
    response
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    media_type.is_some_and(|it| it.as_bytes().starts_with(sse::MEDIA_TYPE.as_bytes()))
}

fn admitted(gateway: &Gateway, request: &Request) -> Result<(), crate::refusal::Refusal> {
    if gateway.lock().is_locked() {
        return Ok(());
    }
    cross_site::check(request.method(), request.uri(), request.headers())
}

/// Fields of a request's log line. Query and headers are never logged, since they may hold secrets.
struct Line {
    method: String,
    path: String,
    peer: String,
}

impl Line {
    fn of(request: &Request) -> Self {
        let peer = request.extensions().get::<Peer>();
        Self {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            peer: peer.map_or_else(|| "-".to_owned(), |Peer(address)| address.to_string()),
        }
    }
}

/// Returns the client's request id if it is valid; otherwise a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_sound = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=ID_LIMIT).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    if let Some(given) = request.headers().get(REQUEST_ID).filter(is_sound) {
        return given.clone();
    }
    // Without randomness the id is not unique, which is harmless.
    let random = getrandom::u64().unwrap_or_default();
    HeaderValue::from_str(&format!("{random:016x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}
