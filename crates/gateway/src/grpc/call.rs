//! Translation of a gRPC call into the equivalent REST request.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request};
use errand_api::gateway::problem::ProblemDetails;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tower::ServiceExt as _;

/// Credentials and extensions of a call, passed on to REST unchanged.
#[derive(Debug)]
pub(super) struct From {
    headers: HeaderMap,
    extensions: axum::http::Extensions,
}

/// The REST request.
#[derive(Debug)]
pub(super) struct RestCall {
    method: Method,
    target: String,
    body: Option<Value>,
    idempotency_key: String,
}

impl RestCall {
    pub(super) fn get(target: impl Into<String>) -> Self {
        let target = target.into();
        Self { method: Method::GET, target, body: None, idempotency_key: String::new() }
    }

    pub(super) fn post(target: impl Into<String>, body: Option<Value>) -> Self {
        Self { method: Method::POST, body, ..Self::get(target) }
    }

    pub(super) fn with_key(mut self, key: String) -> Self {
        self.idempotency_key = key;
        self
    }
}

impl From {
    /// Splits a call into its credentials and its message.
    pub(super) fn split<T>(request: tonic::Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        let mut headers = HeaderMap::new();
        // Headers that REST reads; the others are gRPC's own.
        for name in [AUTHORIZATION, axum::http::header::HOST] {
            if let Some(value) = metadata.as_ref().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        (Self { headers, extensions }, message)
    }

    /// Sends a request to REST.
    ///
    /// # Errors
    ///
    /// A refusal of REST, as a status.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        rest: &Router,
        asked: RestCall,
    ) -> Result<T, Status> {
        let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
        let mut request = Request::builder().method(asked.method).uri(&asked.target);
        if !asked.idempotency_key.is_empty() {
            request = request.header("idempotency-key", asked.idempotency_key);
        }
        let body = match &asked.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).map_err(|error| {
            Status::invalid_argument(format!("that cannot be asked for: {error}"))
        })?;
        request.headers_mut().extend(self.headers.clone());
        *request.extensions_mut() = self.extensions.clone();
        let response = rest.clone().oneshot(request).await.map_err(|error| internal(&error))?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| internal(&error))?.to_bytes();
        if head.status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| internal(&error));
        }
        Err(match serde_json::from_slice::<ProblemDetails>(&bytes) {
            Ok(problem) => status(&problem),
            Err(_) => Status::new(code(head.status.as_u16()), head.status.to_string()),
        })
    }
}

/// Converts a problem into a status.
pub(super) fn status(problem: &ProblemDetails) -> Status {
    let mut metadata = MetadataMap::new();
    let details = [
        ("errand-code", Some(&problem.code)),
        ("errand-pointer", problem.pointer.as_ref()),
        ("errand-hint", problem.hint.as_ref()),
        ("errand-run-id", problem.run_id.as_ref()),
    ];
    for (name, value) in details {
        // Text that is not ASCII is in the message, which may hold any.
        if let Some(Ok(value)) = value.map(|value| MetadataValue::try_from(value.as_str())) {
            metadata.insert(name, value);
        }
    }
    let code = match problem.code.as_str() {
        "idempotency_conflict" | "agent_conflict" | "key_conflict" => Code::AlreadyExists,
        "fenced" | "session_conflict" => Code::Aborted,
        _ => code(problem.status),
    };
    Status::with_metadata(code, problem.detail.clone(), metadata)
}

/// Returns the status code for an HTTP status.
const fn code(status: u16) -> Code {
    match status {
        400 | 406 | 413 | 415 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        416 => Code::OutOfRange,
        403 => Code::PermissionDenied,
        404 | 410 => Code::NotFound,
        405 | 501 => Code::Unimplemented,
        408 | 504 => Code::DeadlineExceeded,
        409 | 412 | 421 => Code::FailedPrecondition,
        429 | 507 => Code::ResourceExhausted,
        502 | 503 => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use errand_api::error_code::ErrorCode;

    use super::*;

    #[test]
    fn every_problem_maps_to_a_status_of_its_kind() {
        for known in ErrorCode::ALL {
            let problem = ProblemDetails::new(*known, "it");
            let status = status(&problem);
            assert_ne!(status.code(), Code::Ok, "{known}");
            assert_eq!(status.metadata().get("errand-code").unwrap(), known.as_str());
            let is_internal = status.code() == Code::Internal;
            assert_eq!(is_internal, problem.status == 500, "{known}: {}", problem.status);
        }
        let missing = status(&ProblemDetails::new(ErrorCode::RunNotFound, "no run x"));
        assert_eq!((missing.code(), missing.message()), (Code::NotFound, "no run x"));
    }
}
