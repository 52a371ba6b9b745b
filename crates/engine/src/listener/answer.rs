//! HTTP responses of a listener.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::{IngressOutcome, limit};
use crate::cross_site::CrossSite;

pub(super) type Answer = Response<Full<Bytes>>;

/// A response that refuses a request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), header: None }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn unauthorized() -> Self {
        let scheme = HeaderValue::from_static("Bearer realm=\"errand\"");
        Self::new(StatusCode::UNAUTHORIZED, "the shared secret is missing or wrong")
            .with(WWW_AUTHENTICATE, scheme)
    }

    pub(super) fn cross_site(refused: CrossSite) -> Self {
        let detail = match refused {
            CrossSite::Host(host) => format!(
                "the request is for {host:?}, and this listener asks for no secret: set one, or \
                 name the host in `listen.hosts`"
            ),
            CrossSite::Origin => "a web page of another origin asks, and this listener asks for \
                                  no secret: set one"
                .to_owned(),
        };
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing is served at this path")
    }

    /// Returns the refusal of a method. `methods` are those served; empty for all but `CONNECT`.
    pub(super) fn method(methods: &[String]) -> Self {
        let allowed = if methods.is_empty() {
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()
        } else {
            methods.join(", ")
        };
        let allow = HeaderValue::from_str(&allowed).unwrap_or(HeaderValue::from_static(""));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("served are {allowed}"))
            .with(ALLOW, allow)
    }

    pub(super) fn too_large(max_body_bytes: u64) -> Self {
        let detail = format!("the body is longer than {max_body_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
    }

    pub(super) fn busy() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests wait for the service")
            .with(RETRY_AFTER, limit::RETRY_AFTER_SECONDS.into())
    }

    pub(super) fn shutting_down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the service is about to end")
            .with(RETRY_AFTER, limit::RETRY_AFTER_SECONDS.into())
    }

    /// Returns the refusal as a problem document (RFC 9457).
    pub(super) fn into_answer(self) -> Answer {
        let title = self.status.canonical_reason();
        let body = json!({"status": self.status.as_u16(), "title": title, "detail": self.detail});
        let mut answer = respond(self.status, "application/problem+json", &body);
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// Returns the response to a request by the outcome of its wake.
pub(super) fn outcome(outcome: IngressOutcome) -> Answer {
    match outcome {
        IngressOutcome::Accepted { run_id } => {
            let body = json!({"run_id": run_id.as_str(), "status": "accepted"});
            respond(StatusCode::ACCEPTED, "application/json", &body)
        }
        IngressOutcome::Done { run_id } => {
            let body = json!({"run_id": run_id.as_str(), "status": "completed"});
            respond(StatusCode::ACCEPTED, "application/json", &body)
        }
        // The cause of a failure is in the run's record, and not for anyone who may send a request.
        IngressOutcome::Failed { run_id, message: _ } => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let body = json!({
                "status": status.as_u16(),
                "title": status.canonical_reason(),
                "detail": "the run of this request failed",
                "run_id": run_id.as_str(),
            });
            respond(status, "application/problem+json", &body)
        }
        IngressOutcome::Busy => Refusal::busy().into_answer(),
        IngressOutcome::ShuttingDown => Refusal::shutting_down().into_answer(),
    }
}

fn respond(status: StatusCode, media_type: &'static str, body: &serde_json::Value) -> Answer {
    let mut text = body.to_string();
    text.push('\n');
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Returns the raw response to a connection beyond the bound.
pub(super) fn full_house() -> String {
    let seconds = limit::RETRY_AFTER_SECONDS;
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\
         retry-after: {seconds}\r\n\r\n"
    )
}
