//! Recorded answers: the result of a call's step, and the response that is made of it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_model::Payload;
use errand_wire::UsageChunkFilter;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::headers;
use crate::respond::{DoorBody, response};

/// An answer of a provider, as the step of the call keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedAnswer {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    /// Body that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Any other body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Pieces in which a streamed body came: milliseconds since the call, and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pieces: Vec<(u64, u64)>,
}

impl RecordedAnswer {
    /// Records an answer.
    pub(crate) fn new(
        status: u16,
        headers: &HeaderMap,
        body: Vec<u8>,
        pieces: Vec<(u64, u64)>,
    ) -> Self {
        let (body, body_base64) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
        };
        Self { status, headers: headers::recorded(headers), body, body_base64, pieces }
    }

    /// Returns the answer as the result of a step.
    pub(crate) fn into_payload(self) -> Payload {
        Payload::Json(serde_json::to_value(self).unwrap_or_default())
    }

    /// Reads the result of a step; `None` if it is no answer.
    pub(crate) fn of_payload(payload: Payload) -> Option<Self> {
        match payload {
            Payload::Json(value) => serde_json::from_value(value).ok(),
            Payload::Text(_) | Payload::Base64(_) | Payload::Blob(_) => None,
        }
    }

    /// Returns the response with the answer; `None` if its body is damaged. `drops_usage`: the chunk of
    /// a stream that has only the usage is left out.
    pub(crate) fn into_response(self, drops_usage: bool) -> Option<Response<DoorBody>> {
        let body = match (self.body, self.body_base64) {
            (Some(text), _) => Bytes::from(text),
            (None, Some(text)) => BASE64_STANDARD.decode(text).ok()?.into(),
            (None, None) => Bytes::new(),
        };
        let content_type = self.headers.get(CONTENT_TYPE.as_str()).and_then(Value::as_str);
        let is_stream = content_type.is_some_and(|it| it.starts_with("text/event-stream"));
        let body = if drops_usage && is_stream { without_usage(&body) } else { body };
        let mut response = response(self.status, body);
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(value.as_str()?).ok()?;
            response.headers_mut().insert(name, value);
        }
        Some(response)
    }
}

/// Returns a stream without the chunk that has only the usage.
fn without_usage(body: &[u8]) -> Bytes {
    let mut kept = Vec::with_capacity(body.len());
    let mut filter = UsageChunkFilter::default();
    filter.push(body, &mut |part| kept.extend_from_slice(part));
    filter.finish(&mut |part| kept.extend_from_slice(part));
    kept.into()
}
