//! Burst of a stream: chunks of an answer that have come already are handed on together.
//!
//! A provider writes many small chunks, and several of them come in one packet. Each chunk that is
//! handed on by itself costs a system call and wakes three tasks; a burst costs that once. No chunk
//! waits for one that has not come.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt as _;
use hyper::body::Bytes;

/// Bytes after which a burst ends.
const BURST_BYTES: usize = 64 * 1024;

/// Chunks that came together.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(crate) bytes: Bytes,
    /// Error after which nothing more comes.
    pub(crate) error: Option<reqwest::Error>,
}

impl Burst {
    /// Collects the chunks after `first` that have come already.
    pub(crate) async fn collect(first: Bytes, response: &mut reqwest::Response) -> Self {
        let mut rest = Vec::new();
        let error = loop {
            give_way().await;
            match response.chunk().now_or_never() {
                Some(Ok(Some(bytes))) => rest.extend_from_slice(&bytes),
                Some(Err(error)) => break Some(error),
                // The next read is told of the end again.
                Some(Ok(None)) | None => break None,
            }
            if first.len() + rest.len() >= BURST_BYTES {
                break None;
            }
        };
        let bytes = if rest.is_empty() { first } else { [&first, rest.as_slice()].concat().into() };
        Self { bytes, error }
    }
}

/// Lets the task of the connection take the next chunk out of what it has received.
///
/// `tokio::task::yield_now` would ask the kernel for news each time.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
