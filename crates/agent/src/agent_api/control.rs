//! Stream of control events for an agent, as server-sent events.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use errand_api::agent_protocol::ControlEvent;
use hyper::body::Bytes;
use tokio::sync::{broadcast, watch};

use super::context::closed;
use super::{ControlFeed, limit};

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Box<Feed>)>> + Send>>;

/// Encoded control events. The stream ends when the server closes, or when the reader falls behind.
pub(super) struct Stream(Option<Next>);

impl Stream {
    pub(super) fn new(feed: ControlFeed, closing: watch::Receiver<bool>) -> Self {
        let feed = Feed { now: feed.now.into(), later: feed.later, closing, greeted: false };
        Self(Some(Box::pin(Box::new(feed).next())))
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(next) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready(ready) = next.as_mut().poll(cx) else { return Poll::Pending };
        self.0 = None;
        Poll::Ready(ready.map(|(bytes, feed)| {
            self.0 = Some(Box::pin(feed.next()));
            bytes
        }))
    }
}

struct Feed {
    now: VecDeque<ControlEvent>,
    later: broadcast::Receiver<ControlEvent>,
    closing: watch::Receiver<bool>,
    greeted: bool,
}

impl Feed {
    async fn next(mut self: Box<Self>) -> Option<(Bytes, Box<Self>)> {
        if !self.greeted {
            // Sent at once, so that a client knows that it is connected.
            self.greeted = true;
            return Some((Bytes::from_static(b": connected\n\n"), self));
        }
        if let Some(event) = self.now.pop_front() {
            return Some((encode(&event)?, self));
        }
        let bytes = tokio::select! {
            biased;
            event = self.later.recv() => match event {
                Ok(event) => encode(&event)?,
                // The client is disconnected, so that it asks again and gets the events in force.
                Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => {
                    return None;
                }
            },
            () = closed(&mut self.closing) => return None,
            () = tokio::time::sleep(limit::CONTROL_HEARTBEAT) => Bytes::from_static(b": alive\n\n"),
        };
        Some((bytes, self))
    }
}

/// Encodes an event. `None` cannot happen: events are plain data with string keys.
fn encode(event: &ControlEvent) -> Option<Bytes> {
    let data = serde_json::to_string(event).ok()?;
    Some(format!("event: {}\ndata: {data}\n\n", event.type_name()).into())
}
