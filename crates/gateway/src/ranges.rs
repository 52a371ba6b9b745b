//! Range requests (RFC 9110, section 14): one range, or the whole content.

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use futures_util::stream;

use crate::refusal::Refusal;

/// Size of the pieces in which content is sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Content with random access.
pub(crate) trait Content: Send + 'static {
    /// Returns the length in bytes.
    fn size_bytes(&self) -> u64;

    /// Reads at most `limit` bytes from `offset` on.
    fn read(&mut self, offset: u64, limit: usize) -> std::io::Result<Vec<u8>>;
}

/// Responds with the requested part. Ranges of another form are ignored, as the RFC allows.
pub(crate) fn answer(headers: &HeaderMap, content: impl Content) -> Result<Response, Refusal> {
    let size = content.size_bytes();
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(one_range);
    let (status, from, to) = match asked {
        None => (StatusCode::OK, 0, size),
        Some(range) => {
            let (from, to) = range.within(size).ok_or_else(|| unsatisfiable(size))?;
            (StatusCode::PARTIAL_CONTENT, from, to)
        }
    };
    let mut response = (status, body(content, from, to)).into_response();
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
        if let Ok(range) = HeaderValue::from_str(&range) {
            headers.insert(CONTENT_RANGE, range);
        }
    }
    Ok(response)
}

fn unsatisfiable(size: u64) -> Refusal {
    let refusal = Refusal::new(
        ErrorCode::RangeUnsatisfiable,
        format!("there are {size} bytes, and none in the part that is wanted"),
    )
    .at("Range");
    match HeaderValue::from_str(&format!("bytes */{size}")) {
        Ok(range) => refusal.with_header(CONTENT_RANGE, range),
        Err(_) => refusal,
    }
}

fn body(content: impl Content, from: u64, to: u64) -> Body {
    let pieces = stream::try_unfold((content, from), move |(mut content, at)| async move {
        let left = usize::try_from(to.saturating_sub(at)).unwrap_or(PIECE_BYTES);
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let piece = content.read(at, left.min(PIECE_BYTES))?;
        if piece.is_empty() {
            // The content became shorter: the client notices the broken response.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let next = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Ok(Some((Bytes::from(piece), (content, next))))
    });
    Body::from_stream(pieces)
}

/// A requested range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestedRange {
    /// From the first byte up to and including the second.
    From(u64, Option<u64>),
    /// The last bytes, by their number.
    Last(u64),
}

impl RequestedRange {
    /// Returns the existing bytes of the range: the first, and the one after the last.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::From(from, to) => (from, to.map_or(size, |to| to.saturating_add(1).min(size))),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (from < to).then_some((from, to))
    }
}

/// Parses a header with one range; `None` for several ranges or an invalid header.
fn one_range(value: &str) -> Option<RequestedRange> {
    let (from, to) = value.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (from, to) {
        ("", count) => Some(RequestedRange::Last(count.parse().ok()?)),
        (from, "") => Some(RequestedRange::From(from.parse().ok()?, None)),
        (from, to) => {
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from <= to).then_some(RequestedRange::From(from, Some(to)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_existing_bytes() {
        for (asked, expect) in [
            ("bytes=0-3", Some((0, 4))),
            ("bytes=4-", Some((4, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=8-30", Some((8, 10))),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ] {
            assert_eq!(one_range(asked).unwrap().within(10), expect, "{asked}");
        }
    }

    #[test]
    fn several_ranges_and_other_units_are_ignored() {
        for asked in ["", "bytes", "bytes=", "bytes=-", "bytes=3-1", "bytes=0-1,3-4", "lines=1-2"] {
            assert_eq!(one_range(asked), None, "{asked}");
        }
    }
}
