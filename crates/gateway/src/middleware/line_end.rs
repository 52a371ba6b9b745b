//! Newline at the end of JSON responses, for people who read them in a terminal.

use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

/// Ends a JSON document with a newline. Streams, and contents named by their digest, stay
/// unchanged.
pub(super) async fn add(response: Response, method: &Method) -> Response {
    let (mut parts, body) = response.into_parts();
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let is_json = media_type.is_some_and(|it| {
        let it = it.split(';').next().unwrap_or(it).trim();
        it == "application/json" || it.ends_with("+json")
    });
    let tag = parts.headers.get(header::ETAG).and_then(|it| it.to_str().ok());
    let is_named = tag.is_some_and(|tag| tag.contains("sha256:"));
    let length = body.size_hint().exact();
    if !is_json || is_named || (length.is_none_or(|length| length == 0) && method != Method::HEAD) {
        return Response::from_parts(parts, body);
    }
    let said = parts.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    if let Some(said) = said.and_then(|length| length.parse::<u64>().ok()) {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(said.saturating_add(1)));
    }
    if method == Method::HEAD {
        return Response::from_parts(parts, body);
    }
    // The length is known, so the body is in memory already.
    match body.collect().await {
        Ok(collected) => {
            let mut bytes = Vec::from(collected.to_bytes());
            bytes.push(b'\n');
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => {
            let failed = futures_util::stream::once(async { Err::<&[u8], _>(error) });
            Response::from_parts(parts, Body::from_stream(failed))
        }
    }
}
