//! Signs of life of a streamed answer that is held back until its end: clients break off after some
//! minutes without a byte.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::Bytes;

use crate::transcript::{AnswerHead, Transcript};

/// Time between two signs. Proxies and clients wait for a minute at least.
pub(crate) const INTERVAL: Duration = Duration::from_secs(15);
/// Comment of server-sent events, which clients skip.
const COMMENT: &[u8] = b": errand holds this answer until its end\n\n";

/// Begins an answer that comes to no end for some time, and adds comments to it. Completes never.
pub(crate) async fn keep_alive(
    transcript: &Transcript,
    head: &AnswerHead,
    interval: Duration,
) -> Infallible {
    loop {
        tokio::time::sleep(interval).await;
        if !transcript.has_begun() {
            transcript.begin(head.clone());
        }
        transcript.push(Bytes::from_static(COMMENT));
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::StatusCode;
    use hyper::header::HeaderMap;

    use super::*;
    use crate::transcript::AnswerEnd;

    #[tokio::test]
    async fn a_held_answer_begins_with_comments() {
        let transcript = Transcript::new();
        let head = AnswerHead { status: StatusCode::OK, headers: HeaderMap::new() };
        assert!(!transcript.has_begun());
        let begun = transcript.reader().response();
        let response = tokio::select! {
            never = keep_alive(&transcript, &head, Duration::ZERO) => match never {},
            response = begun => response,
        };
        assert!(transcript.has_begun());
        transcript.push(Bytes::from_static(b"data: {}\n\n"));
        transcript.end(AnswerEnd::Whole);
        let body = response.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(text.starts_with(": errand holds") && text.ends_with("\n\ndata: {}\n\n"), "{text}");
    }
}
