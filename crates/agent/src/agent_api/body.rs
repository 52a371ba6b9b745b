//! Bodies: requests are read within limits, answers are written whole or as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use errand_api::error_code::ErrorCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use serde::de::DeserializeOwned;

use super::control::Stream;
use super::{Refusal, limit};

/// Body of an answer.
pub(super) enum Answer {
    /// A whole body; `None` once it is sent.
    Whole(Option<Bytes>),
    /// Server-sent events.
    Events(Stream),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(stream) => {
                stream.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Reads a JSON body. An empty body stands for `{}`.
pub(super) async fn json<T: DeserializeOwned>(
    body: Incoming,
    limit_bytes: u64,
) -> Result<T, Refusal> {
    let bytes = whole(body, limit_bytes).await?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text)
        .map_err(|error| Refusal::request(format!("the body is not what this call takes: {error}")))
}

async fn whole(mut body: Incoming, limit_bytes: u64) -> Result<Bytes, Refusal> {
    check_declared(&body, limit_bytes)?;
    let Some(first) = piece(&mut body).await? else { return Ok(Bytes::new()) };
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    if first.len() > limit {
        return Err(too_large(limit_bytes));
    }
    let Some(second) = piece(&mut body).await? else { return Ok(first) };
    let mut all = Vec::with_capacity((first.len() + second.len()) * 2);
    all.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(bytes) = next {
        if all.len() + bytes.len() > limit {
            return Err(too_large(limit_bytes));
        }
        all.extend_from_slice(&bytes);
        next = piece(&mut body).await?;
    }
    Ok(all.into())
}

/// Refuses a body whose declared length is over the limit, before any of it is read.
pub(super) fn check_declared(body: &Incoming, limit_bytes: u64) -> Result<(), Refusal> {
    if body.size_hint().lower() > limit_bytes { Err(too_large(limit_bytes)) } else { Ok(()) }
}

pub(super) fn too_large(limit_bytes: u64) -> Refusal {
    Refusal::new(
        413,
        ErrorCode::RequestTooLarge,
        format!("the body is longer than {limit_bytes} bytes"),
    )
    .with_hint("keep large data in a file, and hand that over with `errand agent artifact`")
}

/// Reads the next piece of a body; `None` at its end.
pub(super) async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        if body.is_end_stream() {
            return Ok(None);
        }
        let frame = tokio::time::timeout(limit::BODY_PIECE_TIME, body.frame()).await;
        match frame {
            Ok(Some(Ok(frame))) => {
                // Trailers are ignored.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(Some(Err(error))) => {
                return Err(Refusal::request(format!("the body broke off: {error}")));
            }
            Ok(None) => return Ok(None),
            Err(_) => return Err(too_slow(limit::BODY_PIECE_TIME)),
        }
    }
}

fn too_slow(limit: Duration) -> Refusal {
    Refusal::new(
        408,
        ErrorCode::RequestInvalid,
        format!("nothing of the body came for {} seconds", limit.as_secs()),
    )
}
