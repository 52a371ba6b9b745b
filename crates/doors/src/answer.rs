//! Recorded answers: the result of a call's step, and the response that is made of it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_model::Payload;
use errand_wire::{AnswerShape, UsageChunkFilter, WireCall};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::headers;
use crate::respond::{self, DoorBody, response};

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

    /// Returns the response with the answer to a call; `None` if its body is damaged. A stream comes in
    /// its pieces. `drops_usage`: the chunk of a stream that has only the usage is left out.
    pub(crate) fn into_response(
        self,
        call: &WireCall,
        drops_usage: bool,
    ) -> Option<Response<DoorBody>> {
        let body = match (self.body, self.body_base64) {
            (Some(text), _) => Bytes::from(text),
            (None, Some(text)) => BASE64_STANDARD.decode(text).ok()?.into(),
            (None, None) => Bytes::new(),
        };
        let content_type = self.headers.get(CONTENT_TYPE.as_str()).and_then(Value::as_str);
        let is_stream = match AnswerShape::of(call, content_type) {
            AnswerShape::EventStream | AnswerShape::JsonArray => true,
            AnswerShape::Whole => false,
        };
        let mut pieces = if is_stream { in_pieces(&body, &self.pieces) } else { vec![body] };
        if drops_usage && content_type.is_some_and(|it| it.starts_with("text/event-stream")) {
            pieces = without_usage(&pieces);
        }
        let mut response = match <[Bytes; 1]>::try_from(pieces) {
            Ok([body]) => response(self.status, body),
            Err(pieces) => {
                let mut response = response(self.status, Bytes::new());
                *response.body_mut() = respond::in_pieces(pieces);
                response
            }
        };
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(value.as_str()?).ok()?;
            response.headers_mut().insert(name, value);
        }
        Some(response)
    }
}

/// Cuts a recorded body into the pieces in which it came. The lengths of a body
/// that was masked are others: it is cut where its events end.
fn in_pieces(body: &Bytes, recorded: &[(u64, u64)]) -> Vec<Bytes> {
    let lengths: Vec<usize> =
        recorded.iter().filter_map(|(_, length)| usize::try_from(*length).ok()).collect();
    let is_exact = lengths.iter().try_fold(0, |sum: usize, it| sum.checked_add(*it));
    if recorded.is_empty() {
        return vec![body.clone()];
    }
    let (mut rest, mut pieces) = (body.clone(), Vec::with_capacity(recorded.len()));
    if is_exact == Some(body.len()) {
        pieces.extend(lengths.into_iter().map(|length| rest.split_to(length)));
    } else {
        while let Some(end) = rest.windows(EVENT_END.len()).position(|it| it == EVENT_END) {
            pieces.push(rest.split_to(end + EVENT_END.len()));
        }
        pieces.push(rest);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Bytes after each event of a stream.
const EVENT_END: &[u8] = b"\n\n";

/// Returns a stream without the chunk that has only the usage.
fn without_usage(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut filter = UsageChunkFilter::default();
    let mut kept: Vec<Bytes> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let mut part = Vec::with_capacity(piece.len());
        filter.push(piece, &mut |bytes| part.extend_from_slice(bytes));
        kept.push(part.into());
    }
    let mut last = Vec::new();
    filter.finish(&mut |bytes| last.extend_from_slice(bytes));
    kept.push(last.into());
    kept.retain(|piece| !piece.is_empty());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &'static str, recorded: &[(u64, u64)], expect: &[&str]) {
        let pieces = in_pieces(&Bytes::from_static(body.as_bytes()), recorded);
        assert_eq!(pieces, expect, "{body:?} {recorded:?}");
    }

    #[test]
    fn a_recorded_stream_is_cut_into_the_pieces_in_which_it_came() {
        check(
            "data: 1\n\ndata: 2\n\n",
            &[(3, 5), (9, 0), (9, 13)],
            &["data:", " 1\n\ndata: 2\n\n"],
        );
        check("data: 1\n\n", &[], &["data: 1\n\n"]);
        check("data: [redacted:A]\n\nda", &[(1, 4), (2, 9)], &["data: [redacted:A]\n\n", "da"]);
        check("", &[(1, 4), (2, 9)], &[]);
    }
}
