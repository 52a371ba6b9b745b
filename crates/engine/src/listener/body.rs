//! Reader of request bodies, within their bounds.

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::answer::Refusal;
use super::{IngressBody, limit};

/// Reads the whole body. A declared length over the bound is refused before anything is read, and
/// before `100 Continue` is sent.
pub(super) async fn read(body: Incoming, max_bytes: u64) -> Result<IngressBody, Refusal> {
    if body.size_hint().lower() > max_bytes {
        return Err(Refusal::too_large(max_bytes));
    }
    match timeout(limit::BODY_TIME, read_all(body, max_bytes)).await {
        Ok(bytes) => Ok(match String::from_utf8(bytes?) {
            Ok(text) => IngressBody::Text(text),
            Err(error) => IngressBody::Bytes(error.into_bytes()),
        }),
        Err(_) => Err(Refusal::too_slow()),
    }
}

async fn read_all(mut body: Incoming, max_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    while !body.is_end_stream() {
        let frame = match timeout(limit::BODY_PIECE_TIME, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(Refusal::malformed(format!("the body broke off: {error}")));
            }
            Ok(None) => break,
            Err(_) => return Err(Refusal::too_slow()),
        };
        // Trailers are ignored.
        let Some(bytes) = frame.data_ref() else { continue };
        if bytes.len() > limit - all.len() {
            return Err(Refusal::too_large(max_bytes));
        }
        all.extend_from_slice(bytes);
    }
    Ok(all)
}
