//! Extractors of bodies: bounded while they are read, with a check of media type, JSON and schema.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::openapi::ANY_BYTES;
use errand_api::gateway::routes::{Body, Route};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Gateway;
use crate::auth::MatchedRoute;
use crate::refusal::Refusal;
use crate::schema_check::DocumentMistake;

/// A JSON body as `T`, checked against the schema in the table of routes.
#[derive(Clone, Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// The bytes of a body of the media type in the table of routes.
#[derive(Clone, Debug)]
pub(crate) struct Bytes(pub(crate) axum::body::Bytes);

impl<T: DeserializeOwned> FromRequest<Gateway> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Refusal> {
        let route = route(&request)?;
        let (parts, body) = request.into_parts();
        let limit = gateway.config().body_limit_bytes;
        // The body is read even if its media type is refused: the connection stays usable.
        let bytes = bounded(body, &parts.headers, limit).await?;
        if bytes.is_empty() && matches!(route.body, Body::MaybeJson(_)) {
            return read(b"{}").map(Self);
        }
        check_media_type(&parts.headers, |it| it == "application/json" || it.ends_with("+json"))
            .map_err(|refusal| refusal.hint("send Content-Type: application/json (curl --json)"))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            let detail = format!("the body is not JSON: {error}");
            Refusal::new(ErrorCode::RequestMalformed, detail).in_line(error.line(), error.column())
        })?;
        if let Some(misfit) = gateway.body_of(route.id).and_then(|it| it.misfit(&value)) {
            return Err(refused(misfit, &value));
        }
        // A number such as 5.0 is an integer for the schema, but not for the type.
        read(&bytes)
            .or_else(|refusal| serde_json::from_value(whole(value)).map_err(|_| refusal))
            .map(Self)
    }
}

/// Returns the refusal of a body that does not match its schema.
fn refused(misfit: DocumentMistake, body: &Value) -> Refusal {
    let is_service = body.get("kind").and_then(Value::as_str) == Some("service");
    if misfit.pointer == "/kind" && is_service {
        return Refusal::field(
            ErrorCode::OnlyLocal,
            &misfit.pointer,
            "services are made on the machine that they live on, not over HTTP",
        )
        .hint(
            "give `errand serve -d AGENT` there; over HTTP, POST /v1/schedules runs an agent by the \
             clock, and a hook (PUT /v1/hooks/{name}) runs it on requests",
        );
    }
    misfit.into()
}

/// Parses the body. Numbers out of range pass the schema, but not the type.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let refusal = Refusal::new(ErrorCode::RequestInvalid, error.to_string());
        refusal.in_line(error.line(), error.column())
    })
}

/// Up to this value every integer is exact as a floating-point number.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Rewrites integers with a fraction of zero as integers.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let is_whole = |it: &f64| it.fract() == 0.0 && it.abs() <= LARGEST_WHOLE;
            let written = number.as_f64().filter(is_whole).map(|it| format!("{it:.0}"));
            let read = written.and_then(|text| serde_json::from_str(&text).ok());
            Value::Number(read.unwrap_or(number))
        }
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, whole(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

impl FromRequest<Gateway> for Bytes {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Refusal> {
        let route = route(&request)?;
        let (parts, body) = request.into_parts();
        if let Body::Bytes(expected) = route.body {
            check_media_type(&parts.headers, |it| it == expected || it == ANY_BYTES)
                .map_err(|refusal| refusal.hint(format!("send it as {expected}")))?;
        }
        bounded(body, &parts.headers, gateway.config().archive_limit_bytes).await.map(Self)
    }
}

fn route(request: &Request) -> Result<&'static Route, Refusal> {
    let asked = request.extensions().get::<MatchedRoute>();
    asked
        .map(|MatchedRoute(route)| *route)
        .ok_or_else(|| Refusal::new(ErrorCode::Internal, "the request has no route"))
}

fn check_media_type(headers: &HeaderMap, is_it: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.map(|it| it.split(';').next().unwrap_or(it).trim().to_lowercase());
    match media_type {
        Some(media_type) if is_it(&media_type) => Ok(()),
        Some(media_type) => Err(Refusal::new(
            ErrorCode::ContentTypeUnsupported,
            format!("the body is sent as {media_type:?}"),
        )),
        None => Err(Refusal::new(
            ErrorCode::ContentTypeUnsupported,
            "the request does not say of which media type its body is",
        )),
    }
}

/// Formats a size for people.
pub(crate) fn amount(bytes: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = KIB * KIB;
    match bytes {
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} bytes"),
    }
}

/// Reads a body of at most `limit` bytes: a larger one is refused as soon as its size is known.
async fn bounded(
    body: axum::body::Body,
    headers: &HeaderMap,
    limit: usize,
) -> Result<axum::body::Bytes, Refusal> {
    let too_large = || {
        let detail = format!("the body has more than {}", amount(limit));
        Refusal::new(ErrorCode::RequestTooLarge, detail)
    };
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if said.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            let detail = format!("the body broke off: {error}");
            Err(Refusal::new(ErrorCode::RequestMalformed, detail))
        }
    }
}
