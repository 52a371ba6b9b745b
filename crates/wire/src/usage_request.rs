//! Usage of chat streams whose client did not ask for it.
//!
//! A stream of chat completions reports usage only if `stream_options.include_usage` is set. A
//! gateway sets it, changing no other byte, and drops the chunk that answers it.

use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::event::FrameSpan;
use crate::format::WireFormat;
use crate::lenient::{Object, document};
use crate::sse::SseReader;

/// A change of a request that asks for the usage of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRequest {
    /// Offset in the body.
    at: usize,
    /// Bytes there that are replaced.
    replaced: usize,
    /// Bytes in their place.
    inserted: &'static str,
}

/// A member with its place, even if it is `null`.
#[derive(Debug, Default)]
struct Raw<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

impl Raw<'_> {
    fn text(&self) -> Option<&str> {
        self.0.map(RawValue::get)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    stream: Raw<'a>,
    #[serde(borrow)]
    stream_options: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions<'a> {
    #[serde(borrow)]
    include_usage: Raw<'a>,
}

impl UsageRequest {
    /// Returns the change that a request needs; `None`: its answer reports usage without it, or is
    /// no stream of chat completions.
    ///
    /// The answer to a changed request is given to a [`UsageChunkFilter`].
    pub fn of(format: WireFormat, body: &[u8]) -> Option<Self> {
        if format != WireFormat::OpenaiChat {
            return None;
        }
        let members: Body<'_> = document(body).ok()?;
        if members.stream.text() != Some("true") {
            return None;
        }
        let offset = |part: &str| part.as_ptr().addr().checked_sub(body.as_ptr().addr());
        let Some(options) = members.stream_options.text() else {
            let brace = body.iter().position(|byte| *byte == b'{')?;
            let inserted = r#""stream_options":{"include_usage":true},"#;
            return Some(Self { at: brace + 1, replaced: 0, inserted });
        };
        let at = offset(options)?;
        if options == "null" {
            let inserted = r#"{"include_usage":true}"#;
            return Some(Self { at, replaced: options.len(), inserted });
        }
        // Options that are no object are the provider's to refuse.
        let given: StreamOptions<'_> = document(options.as_bytes()).ok()?;
        match given.include_usage.text() {
            Some("true") => None,
            Some(other) => {
                Some(Self { at: offset(other)?, replaced: other.len(), inserted: "true" })
            }
            None => {
                let inside = options.strip_prefix('{')?.trim_start();
                let inserted = if inside == "}" {
                    r#""include_usage":true"#
                } else {
                    r#""include_usage":true,"#
                };
                Some(Self { at: at + 1, replaced: 0, inserted })
            }
        }
    }

    /// The changed body in three parts, without a copy.
    pub fn parts<'a>(&self, body: &'a [u8]) -> [&'a [u8]; 3] {
        let (before, rest) = body.split_at(self.at.min(body.len()));
        let after = rest.get(self.replaced..).unwrap_or_default();
        [before, self.inserted.as_bytes(), after]
    }

    /// The changed body.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        self.parts(body).concat()
    }
}

/// The most bytes of a frame that may be the chunk with the usage. It has some hundred.
const MAX_CHUNK_BYTES: u64 = 64 * 1024;

/// Filter that drops the chunk which a [`UsageRequest`] asked for, and passes every other byte on.
///
/// Only the bytes of a frame that is not complete are held back, and of a long one none.
#[derive(Debug, Default)]
pub struct UsageChunkFilter {
    reader: SseReader,
    /// Bytes that were neither passed on nor dropped.
    held: Vec<u8>,
    /// Offset of the first byte that is held or still to come.
    passed: u64,
    /// A frame was too long to be read: everything is passed on.
    is_off: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Raw<'a>,
    usage: Object<Empty>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Empty {}

/// Returns true for a chunk that reports usage and nothing else.
fn is_usage_chunk(data: &[u8]) -> bool {
    if memmem::find(data, b"\"usage\"").is_none() {
        return false;
    }
    let Ok(chunk) = document::<Chunk<'_>>(data) else { return false };
    let is_empty = chunk.choices.text().is_some_and(|choices| {
        let items = choices.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        choices == "null" || items.is_some_and(|items| items.trim().is_empty())
    });
    is_empty && chunk.usage.0.is_some()
}

impl UsageChunkFilter {
    /// Takes the next bytes of a stream, and gives `pass` those that the client gets.
    pub fn push(&mut self, bytes: &[u8], pass: &mut impl FnMut(&[u8])) {
        if self.is_off {
            pass(bytes);
            return;
        }
        let base = self.passed.saturating_add(self.held.len() as u64);
        let end = base.saturating_add(bytes.len() as u64);
        let passed = self.passed;
        let mut dropped: Vec<FrameSpan> = Vec::new();
        let read = self.reader.push(bytes, &mut |frame| {
            // The begin of a long frame was passed on already.
            if frame.span.start >= passed && is_usage_chunk(frame.data) {
                dropped.push(frame.span);
            }
        });
        self.is_off = read.is_err();
        for span in dropped {
            self.pass_until(span.start, bytes, base, pass);
            self.drop_until(span.end);
        }
        let boundary = self.reader.boundary();
        let is_long = end.saturating_sub(boundary) > MAX_CHUNK_BYTES;
        let until = if self.is_off || is_long { end } else { boundary };
        self.pass_until(until, bytes, base, pass);
        // Bytes in front of the boundary are dealt with; what is left of the piece is held.
        let from = usize::try_from(self.passed.saturating_sub(base)).unwrap_or(bytes.len());
        self.held.extend_from_slice(bytes.get(from..).unwrap_or_default());
    }

    /// Ends the stream, and passes on what is held, unless that is the chunk.
    pub fn finish(mut self, pass: &mut impl FnMut(&[u8])) {
        let mut is_dropped = false;
        let passed = self.passed;
        self.reader.finish(&mut |frame| {
            is_dropped = frame.span.start >= passed && is_usage_chunk(frame.data);
        });
        if !is_dropped && !self.held.is_empty() {
            pass(&self.held);
        }
    }

    /// Passes on the bytes up to an offset: first those that are held, then those of the piece.
    fn pass_until(&mut self, until: u64, bytes: &[u8], base: u64, pass: &mut impl FnMut(&[u8])) {
        if until <= self.passed {
            return;
        }
        let held = usize::try_from(until - self.passed).unwrap_or(usize::MAX).min(self.held.len());
        if held > 0 {
            pass(&self.held[..held]);
        }
        let from = usize::try_from(self.passed.max(base) - base).unwrap_or(bytes.len());
        let to = usize::try_from(until.saturating_sub(base)).unwrap_or(bytes.len());
        if let Some(part) = bytes.get(from..to).filter(|part| !part.is_empty()) {
            pass(part);
        }
        self.drop_until(until);
    }

    fn drop_until(&mut self, until: u64) {
        let gone = usize::try_from(until.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        self.held.drain(..gone.min(self.held.len()));
        self.passed = self.passed.max(until);
    }
}
