//! One thing that a stream tells, rendered once for all who hear it.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use errand_api::record::Record;
use errand_model::{Event, RunId};
use serde::Serialize;

/// How long a client that lost its stream waits before it comes again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One thing that a stream tells.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What.
    pub(crate) told: Told,
    sse: OnceLock<Bytes>,
}

/// What a stream tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// An event of the journal.
    Event(Event),
    /// A part of the output, before it is in the journal.
    Output(LiveOutput),
    /// What the agent printed.
    Log(LiveLog),
    /// The reader was too slow for something that is in no journal.
    Lagged(Lagged),
    /// Nothing more comes.
    End(Box<End>),
}

/// The data of `event: output`.
#[derive(Debug, Serialize)]
pub(crate) struct LiveOutput {
    /// The attempt.
    pub(crate) attempt: u32,
    /// Where the text begins in the output of its attempt, in bytes of UTF-8.
    pub(crate) offset: u64,
    /// The text.
    pub(crate) text: String,
}

/// The data of `event: log`.
#[derive(Debug, Serialize)]
pub(crate) struct LiveLog {
    /// The attempt.
    pub(crate) attempt: u32,
    /// `stdout` or `stderr`.
    pub(crate) stream: &'static str,
    /// The text; bytes that are no UTF-8 are replaced.
    pub(crate) text: String,
}

/// The data of `event: lagged`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lagged {
    /// How many live parts were left out, at least.
    pub(crate) missed: u64,
    /// The last event that was told: the stream goes on after it.
    pub(crate) last_event_id: String,
}

/// The data of `event: end`.
#[derive(Debug, Serialize)]
pub(crate) struct End {
    /// Why the stream ends.
    pub(crate) reason: EndReason,
    /// The last event that was told; `null` if none was.
    pub(crate) last_event_id: Option<String>,
    /// When to come again, where more is to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_ms: Option<u64>,
    /// The run's record, where the run is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<Record>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndReason {
    /// The run is over.
    Over,
    /// The server is about to end; another one, or this one again, has the rest.
    ShuttingDown,
    /// The run was removed.
    Removed,
    /// The registry cannot be read.
    Unavailable,
}

impl EndReason {
    /// Its word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::ShuttingDown => "shutting_down",
            Self::Removed => "removed",
            Self::Unavailable => "unavailable",
        }
    }
}

impl End {
    /// The end of a stream of a run that is over.
    pub(crate) fn over(seq: u64, run: Record) -> Self {
        let last_event_id = Some(seq.to_string());
        Self { reason: EndReason::Over, last_event_id, retry_ms: None, run: Some(run) }
    }

    /// The end of a stream from which more is to come later.
    pub(crate) fn for_now(reason: EndReason, last_event_id: Option<String>) -> Self {
        let retry_ms = u64::try_from(RETRY_AFTER.as_millis()).ok();
        Self { reason, last_event_id, retry_ms, run: None }
    }
}

impl Frame {
    pub(crate) const fn new(told: Told) -> Self {
        Self { told, sse: OnceLock::new() }
    }

    /// The bytes of a stream of one run: the id of an event is its number.
    pub(crate) fn sse(&self) -> Bytes {
        self.sse.get_or_init(|| self.told.render(None)).clone()
    }

    /// The bytes of a stream of many runs: the id of an event has the run's id before its number.
    pub(crate) fn sse_of_many(&self) -> Bytes {
        match &self.told {
            Told::Event(event) => self.told.render(Some(&event.run_id)),
            Told::Output(_) | Told::Log(_) | Told::Lagged(_) | Told::End(_) => self.sse(),
        }
    }
}

impl Told {
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
    // What is told has no maps with other keys than strings: this cannot fail.
    text.push_str(&serde_json::to_string(data).unwrap_or_default());
    text.push_str("\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_one_line_of_data_under_its_name() {
        let part = LiveOutput { attempt: 1, offset: 7, text: "a\nb".to_owned() };
        let frame = Frame::new(Told::Output(part));
        let expected = "event: output\ndata: {\"attempt\":1,\"offset\":7,\"text\":\"a\\nb\"}\n\n";
        assert_eq!(frame.sse(), expected);
        let end = End::for_now(EndReason::ShuttingDown, Some("3".to_owned()));
        let expected = "retry: 1000\nevent: end\n\
            data: {\"reason\":\"shutting_down\",\"last_event_id\":\"3\",\"retry_ms\":1000}\n\n";
        assert_eq!(Frame::new(Told::End(Box::new(end))).sse(), expected);
    }
}
