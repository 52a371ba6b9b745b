//! Frames of a stream, rendered once for all listeners.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use errand_api::record::RunRecord;
use errand_model::{Event, RunId};
use serde::Serialize;

/// Pause of a disconnected client before it reconnects.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A frame of a stream.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Content.
    pub(crate) told: StreamItem,
    sse: OnceLock<Bytes>,
}

/// Content of a frame.
#[derive(Debug)]
pub(crate) enum StreamItem {
    /// An event of the journal.
    Event(Event),
    /// A live part of the output, before it is in the journal.
    Output(LiveOutput),
    /// A live part of the log.
    Log(LiveLog),
    /// The reader was too slow for live parts, which are in no journal.
    Lagged(Lagged),
    /// The end of the stream.
    End(Box<StreamEnd>),
}

/// Data of `event: output`.
#[derive(Debug, Serialize)]
pub(crate) struct LiveOutput {
    /// The attempt.
    pub(crate) attempt: u32,
    /// Offset of the text in the output of its attempt, in bytes of UTF-8.
    pub(crate) offset: u64,
    /// The text.
    pub(crate) text: String,
}

/// Data of `event: log`.
#[derive(Debug, Serialize)]
pub(crate) struct LiveLog {
    /// The attempt.
    pub(crate) attempt: u32,
    /// `stdout` or `stderr`.
    pub(crate) stream: &'static str,
    /// The text; invalid UTF-8 is replaced.
    pub(crate) text: String,
}

/// Data of `event: lagged`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lagged {
    /// Number of live parts left out, at least.
    pub(crate) missed: u64,
    /// The last event sent: the stream continues after it.
    pub(crate) last_event_id: String,
}

/// Data of `event: end`.
#[derive(Debug, Serialize)]
pub(crate) struct StreamEnd {
    /// Reason of the end.
    pub(crate) reason: EndReason,
    /// The last event sent; `null` if there was none.
    pub(crate) last_event_id: Option<String>,
    /// Delay before a reconnect, if the stream can be continued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_ms: Option<u64>,
    /// The run's record, if the run is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunRecord>,
}

/// Reason why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndReason {
    /// The run is over.
    Over,
    /// The server is shutting down; the rest can be read from another one, or from this one after
    /// its restart.
    ShuttingDown,
    /// The run was removed.
    Removed,
    /// The registry cannot be read.
    Unavailable,
}

impl EndReason {
    /// Returns the stored word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::ShuttingDown => "shutting_down",
            Self::Removed => "removed",
            Self::Unavailable => "unavailable",
        }
    }
}

impl StreamEnd {
    /// Returns the end of a stream of a terminal run.
    pub(crate) fn over(seq: u64, run: RunRecord) -> Self {
        let last_event_id = Some(seq.to_string());
        Self { reason: EndReason::Over, last_event_id, retry_ms: None, run: Some(run) }
    }

    /// Returns the end of a stream that can be continued later.
    pub(crate) fn for_now(reason: EndReason, last_event_id: Option<String>) -> Self {
        let retry_ms = u64::try_from(RETRY_AFTER.as_millis()).ok();
        Self { reason, last_event_id, retry_ms, run: None }
    }
}

impl Frame {
    pub(crate) const fn new(told: StreamItem) -> Self {
        Self { told, sse: OnceLock::new() }
    }

    /// Renders the frame for a stream of one run: the id of an event is its number.
    pub(crate) fn sse(&self) -> Bytes {
        self.sse.get_or_init(|| self.told.render(None)).clone()
    }

    /// Renders the frame for a stream of many runs: the id of an event is the run's id and its
    /// number.
    pub(crate) fn sse_of_many(&self) -> Bytes {
        match &self.told {
            StreamItem::Event(event) => self.told.render(Some(&event.run_id)),
            StreamItem::Output(_)
            | StreamItem::Log(_)
            | StreamItem::Lagged(_)
            | StreamItem::End(_) => self.sse(),
        }
    }
}

impl StreamItem {
    fn render(&self, run_id: Option<&RunId>) -> Bytes {
        let mut text = String::new();
        match self {
            Self::Event(event) => {
                text.reserve(event.data.len() + 320);
                // Writing to a string cannot fail.
                let _infallible = match run_id {
                    Some(run_id) => write!(text, "id: {run_id}:{}\nevent: ", event.seq),
                    None => write!(text, "id: {}\nevent: ", event.seq),
                };
                text.push_str(&event.kind);
                text.push_str("\ndata: ");
                event.write_json_line(&mut text);
                text.push_str("\n\n");
            }
            Self::Output(part) => render(&mut text, "output", part),
            Self::Log(part) => render(&mut text, "log", part),
            Self::Lagged(lagged) => render(&mut text, "lagged", lagged),
            Self::End(end) => {
                if let Some(retry_ms) = end.retry_ms {
                    let _infallible = writeln!(text, "retry: {retry_ms}");
                }
                render(&mut text, "end", end.as_ref());
            }
        }
        Bytes::from(text)
    }
}

fn render(text: &mut String, name: &str, data: &impl Serialize) {
    text.push_str("event: ");
    text.push_str(name);
    text.push_str("\ndata: ");
    // All map keys are strings, so that this cannot fail.
    text.push_str(&serde_json::to_string(data).unwrap_or_default());
    text.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_of_data_under_its_name() {
        let part = LiveOutput { attempt: 1, offset: 7, text: "a\nb".to_owned() };
        let frame = Frame::new(StreamItem::Output(part));
        let expected = "event: output\ndata: {\"attempt\":1,\"offset\":7,\"text\":\"a\\nb\"}\n\n";
        assert_eq!(frame.sse(), expected);
        let end = StreamEnd::for_now(EndReason::ShuttingDown, Some("3".to_owned()));
        let expected = "retry: 1000\nevent: end\n\
            data: {\"reason\":\"shutting_down\",\"last_event_id\":\"3\",\"retry_ms\":1000}\n\n";
        assert_eq!(Frame::new(StreamItem::End(Box::new(end))).sse(), expected);
    }
}
