//! Messages that arrive in pieces: a body, server-sent events, or lines.

use memchr::memchr;

use super::message::McpMessage;
use crate::event::FrameSpan;
use crate::request::MalformedRequest;
use crate::sse::{FrameTooLong, MAX_FRAME_BYTES, SseFrame, SseReader};

/// Form in which messages arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpShape {
    /// A single message: the body of a request, or an answer to it.
    Whole,
    /// Server-sent events.
    EventStream,
    /// A message in each line: standard input and output of a server.
    Lines,
}

/// A message with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedMessage {
    /// Bytes of the message in the stream.
    pub frame: FrameSpan,
    /// The message, or the mistake in it.
    pub message: Result<McpMessage, MalformedRequest>,
}

#[derive(Debug)]
enum Pieces {
    Whole(Vec<u8>),
    Events(SseReader),
    Lines(Vec<u8>),
    /// A message was too long.
    Off,
}

/// Decoder of messages. Give it each piece, then call [`McpDecoder::finish`].
#[derive(Debug)]
pub struct McpDecoder {
    pieces: Pieces,
    read_bytes: u64,
}

impl McpDecoder {
    /// A decoder of messages of that shape.
    pub fn new(shape: McpShape) -> Self {
        let pieces = match shape {
            McpShape::Whole => Pieces::Whole(Vec::new()),
            McpShape::EventStream => Pieces::Events(SseReader::default()),
            McpShape::Lines => Pieces::Lines(Vec::new()),
        };
        Self { pieces, read_bytes: 0 }
    }

    /// Decodes the next piece, and adds the messages that it completes.
    pub fn push(&mut self, bytes: &[u8], messages: &mut Vec<DecodedMessage>) {
        let start = self.read_bytes;
        self.read_bytes = start.saturating_add(bytes.len() as u64);
        let read = match &mut self.pieces {
            Pieces::Whole(body) => keep(body, bytes),
            Pieces::Events(reader) => reader.push(bytes, &mut |frame| add(frame, messages)),
            Pieces::Lines(line) => push_lines(line, bytes, start, messages),
            Pieces::Off => Ok(()),
        };
        if let Err(FrameTooLong) = read {
            self.pieces = Pieces::Off;
            let message = format!("a message has more than {MAX_FRAME_BYTES} bytes");
            let frame = FrameSpan { start, end: self.read_bytes };
            let message = Err(MalformedRequest { message, line: 1, column: 0 });
            messages.push(DecodedMessage { frame, message });
        }
    }

    /// Ends the stream, and adds a message without an end if there is one.
    pub fn finish(self, messages: &mut Vec<DecodedMessage>) {
        match self.pieces {
            Pieces::Events(mut reader) => reader.finish(&mut |frame| add(frame, messages)),
            Pieces::Whole(rest) | Pieces::Lines(rest) => {
                let start = self.read_bytes.saturating_sub(rest.len() as u64);
                let span = FrameSpan { start, end: self.read_bytes };
                add(SseFrame { data: &rest, span }, messages);
            }
            Pieces::Off => {}
        }
    }
}

/// Reader of the data of server-sent events, each of which is one message.
#[derive(Debug, Default)]
pub struct McpEvents(SseReader);

impl McpEvents {
    /// Reads the next piece, and adds the data of the events that it completes.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`] if an event is too long. Nothing can be read after it.
    pub fn push(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<Vec<u8>>,
    ) -> Result<(), MalformedRequest> {
        let read = self.0.push(bytes, &mut |frame| events.push(frame.data.to_vec()));
        read.map_err(|FrameTooLong| {
            let message = format!("a message has more than {MAX_FRAME_BYTES} bytes");
            MalformedRequest { message, line: 1, column: 0 }
        })
    }
}

fn push_lines(
    line: &mut Vec<u8>,
    bytes: &[u8],
    at: u64,
    messages: &mut Vec<DecodedMessage>,
) -> Result<(), FrameTooLong> {
    let mut next = 0;
    while let Some(len) = memchr(b'\n', &bytes[next..]) {
        let piece = &bytes[next..next + len];
        next += len + 1;
        let end = at.saturating_add(next as u64);
        let start = end.saturating_sub((line.len() + len + 1) as u64);
        let span = FrameSpan { start, end };
        if line.is_empty() {
            add(SseFrame { data: piece, span }, messages);
        } else {
            keep(line, piece)?;
            add(SseFrame { data: line, span }, messages);
            line.clear();
        }
    }
    keep(line, &bytes[next..])
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> Result<(), FrameTooLong> {
    if kept.len().saturating_add(bytes.len()) > MAX_FRAME_BYTES {
        return Err(FrameTooLong);
    }
    kept.extend_from_slice(bytes);
    Ok(())
}

/// Adds a message; empty lines are none.
fn add(frame: SseFrame<'_>, messages: &mut Vec<DecodedMessage>) {
    let json = frame.data.trim_ascii();
    if !json.is_empty() {
        messages.push(DecodedMessage { frame: frame.span, message: McpMessage::of(json) });
    }
}
