//! Live events of a run, over server-sent events.
//!
//! A broken connection is made again after the last event that came: no event is missed, and none
//! comes twice.

use errand_api::error_code::ErrorCode;
use errand_engine::operations::{More, TakeEvent};
use errand_model::{Event, RunId};
use futures_util::StreamExt as _;
use reqwest::Method;
use reqwest::header::ACCEPT;

use super::Remote;
use super::answer::not_a_server;
use crate::failure::Failure;

/// Longest event that is read: longer than any in a journal.
const EVENT_LIMIT_BYTES: usize = 64 * 1024 * 1024;

impl Remote {
    /// Hands on events after number `after`, which it counts on, until the stream ends.
    pub(super) async fn stream_events(
        &self,
        run_id: &RunId,
        after: &mut u64,
        take: &mut TakeEvent<'_, Failure>,
    ) -> Result<Ended, Failure> {
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "events"]);
        let request =
            request.query(&[("after", after.to_string()), ("output", "false".to_owned())]);
        let request = request.header(ACCEPT, "text/event-stream");
        let mut body = self.send(request).await?.bytes_stream();
        let mut frames = Frames::default();
        while let Some(bytes) = body.next().await {
            frames.push(&bytes.map_err(|error| self.unreachable(&error))?);
            while let Some(frame) = frames.next() {
                if frame.name == "end" {
                    // A server that shuts down ends the stream too, while the run continues.
                    let is_over = frame.data.contains("\"reason\":\"over\"")
                        || frame.data.contains("\"reason\":\"removed\"");
                    return Ok(if is_over { Ended::Over } else { Ended::Broken });
                }
                if !frame.name.contains('.') {
                    continue;
                }
                let event = Event::from_json_line(&frame.data).map_err(|error| {
                    not_a_server(self.url(), "an event of it cannot be read").because(&error)
                })?;
                *after = event.seq;
                if take(&event)? == More::Enough {
                    return Ok(Ended::Over);
                }
            }
            if frames.rest.len() > EVENT_LIMIT_BYTES {
                return Err(not_a_server(self.url(), "an event of it is too long"));
            }
        }
        Ok(Ended::Broken)
    }
}

/// Returns the failure of a stream that broke off, for the note about the reconnection.
pub(super) fn broken_off(remote: &Remote) -> Failure {
    let what = format!("the stream of events of {} ends without an end", remote.url());
    Failure::new(ErrorCode::ServerUnreachable, what)
}

/// End of a stream.
pub(super) enum Ended {
    /// No more events will come.
    Over,
    /// More events come on another connection.
    Broken,
}

/// Event of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    name: String,
    data: String,
}

/// Parser of a stream of events that comes in pieces.
#[derive(Debug, Default)]
struct Frames {
    rest: Vec<u8>,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// Returns the next complete event, without comments.
    fn next(&mut self) -> Option<Frame> {
        loop {
            let end = self.rest.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.rest.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            let mut frame = Frame { name: String::new(), data: String::new() };
            for line in text.lines() {
                if let Some(name) = line.strip_prefix("event: ") {
                    name.clone_into(&mut frame.name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    frame.data.push_str(data);
                }
            }
            if !frame.name.is_empty() {
                return Some(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_split_anywhere_gives_the_same_events() {
        let stream = b": heartbeat\n\nid: 1\nevent: run.created\ndata: {\"a\":1}\n\nevent: end\ndata: {}\n\n";
        for piece in 1..stream.len() {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                frames.push(bytes);
                while let Some(frame) = frames.next() {
                    seen.push((frame.name, frame.data));
                }
            }
            let expect = [("run.created", "{\"a\":1}"), ("end", "{}")];
            assert_eq!(seen, expect.map(|(name, data)| (name.to_owned(), data.to_owned())));
        }
    }
}
