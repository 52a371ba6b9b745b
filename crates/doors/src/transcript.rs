//! Transcript of an answer: what was received of it, for the client, for clients that join, and for
//! the record.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Frame};
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use tokio::sync::watch;

use crate::respond::DoorBody;

/// An answer that is being received.
#[derive(Debug)]
pub(crate) struct Transcript {
    state: Mutex<State>,
    /// Counts changes of the state.
    grown: watch::Sender<u64>,
    /// Clients that read the answer, or wait for it.
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    head: Option<AnswerHead>,
    chunks: Vec<Bytes>,
    end: Option<AnswerEnd>,
}

/// Begin of an answer.
#[derive(Clone, Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// End of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerEnd {
    /// All of it was handed on.
    Whole,
    /// The rest is missing.
    Cut,
}

impl Transcript {
    /// An answer of which nothing was received.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            grown: watch::Sender::new(0),
            readers: AtomicUsize::new(0),
        })
    }

    /// Begins the answer.
    pub(crate) fn begin(&self, head: AnswerHead) {
        self.change(|state| state.head = Some(head));
    }

    /// Returns true if the client has, or gets, the head of the answer.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().head.is_some()
    }

    /// Adds bytes to the answer.
    pub(crate) fn push(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.change(|state| state.chunks.push(bytes));
        }
    }

    /// Ends the answer.
    pub(crate) fn end(&self, end: AnswerEnd) {
        self.change(|state| state.end = Some(end));
    }

    /// Returns true if no client reads the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.readers.load(Ordering::Acquire) == 0
    }

    /// Completes once no client has read the answer for so long.
    pub(crate) async fn abandoned_for(&self, time: Duration) {
        let mut grown = self.grown.subscribe();
        loop {
            while !self.is_abandoned() {
                // The sender lives as long as the transcript.
                drop(grown.changed().await);
            }
            let joined = async {
                while self.is_abandoned() {
                    drop(grown.changed().await);
                }
            };
            if tokio::time::timeout(time, joined).await.is_err() {
                return;
            }
        }
    }

    /// Reads the answer from its begin, whenever it comes.
    pub(crate) fn reader(self: &Arc<Self>) -> TranscriptReader {
        self.readers.fetch_add(1, Ordering::AcqRel);
        self.grown.send_modify(|count| *count += 1);
        TranscriptReader { transcript: Arc::clone(self), next: 0 }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.grown.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's way through a transcript.
#[derive(Debug)]
pub(crate) struct TranscriptReader {
    transcript: Arc<Transcript>,
    next: usize,
}

impl Drop for TranscriptReader {
    fn drop(&mut self) {
        self.transcript.readers.fetch_sub(1, Ordering::AcqRel);
        self.transcript.grown.send_modify(|count| *count += 1);
    }
}

/// Piece that a reader comes to.
enum Piece {
    Bytes(Bytes),
    End(AnswerEnd),
}

impl TranscriptReader {
    /// Waits for the begin of the answer; `None`: there is none.
    pub(crate) async fn response(self) -> Option<Response<DoorBody>> {
        let head = self.until(|state| match (&state.head, state.end) {
            (Some(head), _) => Some(Some(head.clone())),
            (None, Some(_)) => Some(None),
            (None, None) => None,
        });
        let AnswerHead { status, headers } = head.await?;
        let pieces = stream::try_unfold(self, |mut reader| async move {
            let next = reader.next;
            let piece = reader.until(|state| match (state.chunks.get(next), state.end) {
                (Some(bytes), _) => Some(Piece::Bytes(bytes.clone())),
                (None, Some(end)) => Some(Piece::End(end)),
                (None, None) => None,
            });
            match piece.await {
                Piece::Bytes(bytes) => {
                    reader.next += 1;
                    Ok(Some((Frame::data(bytes), reader)))
                }
                Piece::End(AnswerEnd::Whole) => Ok(None),
                Piece::End(AnswerEnd::Cut) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        });
        let mut response = Response::new(BoxBody::new(StreamBody::new(pieces)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Some(response)
    }

    /// Waits until `find` returns a value.
    async fn until<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        let mut grown = self.transcript.grown.subscribe();
        loop {
            if let Some(found) = find(&self.transcript.state()) {
                return found;
            }
            // The sender lives as long as the transcript.
            drop(grown.changed().await);
        }
    }
}
