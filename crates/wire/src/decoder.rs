//! Decoder of an answer of any format.

use crate::calls::WireCall;
use crate::chat::ChatDecoder;
use crate::embeddings::EmbeddingsDecoder;
use crate::event::{AnswerError, DecodedEvent, EndReason, Events, FrameSpan, WireEvent};
use crate::format::WireFormat;
use crate::frame::FrameDecoder;
use crate::gemini::GeminiDecoder;
use crate::json_array::ArrayReader;
use crate::messages::MessagesDecoder;
use crate::responses::ResponsesDecoder;
use crate::sse::{FrameTooLong, MAX_FRAME_BYTES, SseFrame, SseReader};
use crate::token_count::TokenCountDecoder;

/// Form in which an answer's body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerShape {
    /// A JSON document.
    Whole,
    /// Server-sent events.
    EventStream,
    /// An array whose elements arrive one by one.
    JsonArray,
}

impl AnswerShape {
    /// Returns the shape of the answer to a call, by the `content-type` of the response.
    pub fn of(call: &WireCall, content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default().trim_start();
        let is_events = content_type
            .get(.."text/event-stream".len())
            .is_some_and(|start| start.eq_ignore_ascii_case("text/event-stream"));
        if is_events {
            Self::EventStream
        } else if call.format == WireFormat::GeminiGenerate && call.is_stream {
            Self::JsonArray
        } else {
            Self::Whole
        }
    }
}

#[derive(Debug)]
enum Frames {
    Whole(Vec<u8>),
    Events(SseReader),
    Array(ArrayReader),
    /// Nothing is decoded any more, or ever.
    Off,
}

/// Decoder of one answer. Give it each piece of the body, then call [`AnswerDecoder::finish`].
///
/// The events do not depend on where the body was cut, but for the pieces of text. After the
/// last one, there was exactly one [`WireEvent::End`] or at least one [`WireEvent::Error`], unless
/// the format is [`WireFormat::Opaque`].
#[derive(Debug)]
pub struct AnswerDecoder {
    frames: Frames,
    state: DecoderState,
    /// Bytes of the body so far.
    read_bytes: u64,
}

#[derive(Debug)]
struct DecoderState {
    format: Box<dyn FrameDecoder>,
    has_ended: bool,
    has_failed: bool,
}

impl AnswerDecoder {
    /// A decoder of an answer of that format and shape.
    pub fn new(format: WireFormat, shape: AnswerShape) -> Self {
        let frames = match (format, shape) {
            (WireFormat::Opaque, _) => Frames::Off,
            (_, AnswerShape::Whole) => Frames::Whole(Vec::new()),
            (_, AnswerShape::EventStream) => Frames::Events(SseReader::default()),
            (_, AnswerShape::JsonArray) => Frames::Array(ArrayReader::default()),
        };
        let state = DecoderState { format: of_format(format), has_ended: false, has_failed: false };
        Self { frames, state, read_bytes: 0 }
    }

    /// Decodes a body that is there as a whole, without a copy of it.
    pub fn decode(format: WireFormat, shape: AnswerShape, body: &[u8]) -> Vec<DecodedEvent> {
        let mut decoder = Self::new(format, shape);
        let mut events = Vec::new();
        if matches!(decoder.frames, Frames::Whole(_)) {
            decoder.frames = Frames::Off;
            decoder.read_bytes = body.len() as u64;
            decoder.state.whole(body, &mut events);
            decoder.end(&mut events);
        } else {
            decoder.push(body, &mut events);
            decoder.finish(&mut events);
        }
        events
    }

    /// Decodes the next piece, and adds the events that it completes.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<DecodedEvent>) {
        let at = self.read_bytes;
        self.read_bytes = at.saturating_add(bytes.len() as u64);
        let state = &mut self.state;
        let read = match &mut self.frames {
            Frames::Whole(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Frames::Events(reader) => reader.push(bytes, &mut |frame| state.frame(frame, events)),
            Frames::Array(reader) => reader.push(bytes, &mut |frame| state.frame(frame, events)),
            Frames::Off => Ok(()),
        };
        if let Err(FrameTooLong) = read {
            self.frames = Frames::Off;
            state.has_failed = true;
            let error = AnswerError::TooLong { limit_bytes: MAX_FRAME_BYTES };
            let frame = FrameSpan { start: at, end: self.read_bytes };
            events.push(DecodedEvent { frame, event: WireEvent::Error(error) });
        }
    }

    /// Ends the body. An answer that has not come to its end is [`EndReason::Cut`].
    pub fn finish(mut self, events: &mut Vec<DecodedEvent>) {
        let state = &mut self.state;
        match std::mem::replace(&mut self.frames, Frames::Off) {
            Frames::Whole(body) => state.whole(&body, events),
            Frames::Events(mut reader) => {
                reader.finish(&mut |frame| state.last_event(frame, events));
            }
            Frames::Array(mut reader) => {
                reader.finish(&mut |frame| state.last_element(frame, events));
            }
            Frames::Off => return,
        }
        self.end(events);
    }

    fn end(&mut self, events: &mut Vec<DecodedEvent>) {
        let frame = FrameSpan { start: self.read_bytes, end: self.read_bytes };
        self.state.finish(frame, events);
        if !self.state.has_ended && !self.state.has_failed {
            events.push(DecodedEvent { frame, event: WireEvent::End(EndReason::Cut) });
        }
    }
}

impl DecoderState {
    fn frame(&mut self, frame: SseFrame<'_>, events: &mut Vec<DecodedEvent>) {
        if let Err(error) = self.decode(frame, events) {
            self.malformed(frame.span, &error, events);
        }
    }

    /// Decodes a frame that has no end. It may be whole, as some servers leave the last empty line
    /// out; if it is not, the stream was cut, which is no mistake of form.
    fn last_event(&mut self, frame: SseFrame<'_>, events: &mut Vec<DecodedEvent>) {
        drop(self.decode(frame, events));
    }

    /// Decodes what follows the last whole element of an array.
    fn last_element(&mut self, frame: SseFrame<'_>, events: &mut Vec<DecodedEvent>) {
        if let Err(error) = self.decode(frame, events)
            && !is_cut(&error, frame.data)
        {
            self.malformed(frame.span, &error, events);
        }
    }

    fn decode(
        &mut self,
        frame: SseFrame<'_>,
        events: &mut Vec<DecodedEvent>,
    ) -> Result<(), serde_json::Error> {
        let known = events.len();
        let mut found = Events::new(frame.span, events);
        let decoded = if frame.data.trim_ascii() == b"[DONE]" {
            self.format.done(&mut found);
            Ok(())
        } else {
            self.format.frame(frame.data, &mut found)
        };
        self.keep_one_end(known, events);
        decoded
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<DecodedEvent>) {
        let span = FrameSpan { start: 0, end: body.len() as u64 };
        let decoded = self.format.whole(body, &mut Events::new(span, events));
        self.keep_one_end(0, events);
        match decoded {
            Ok(()) => {}
            Err(error) if is_cut(&error, body) => {}
            Err(error) => self.malformed(span, &error, events),
        }
    }

    fn finish(&mut self, frame: FrameSpan, events: &mut Vec<DecodedEvent>) {
        let known = events.len();
        self.format.finish(&mut Events::new(frame, events));
        self.keep_one_end(known, events);
    }

    fn malformed(
        &mut self,
        frame: FrameSpan,
        error: &serde_json::Error,
        events: &mut Vec<DecodedEvent>,
    ) {
        self.has_failed = true;
        let error = AnswerError::Malformed { at: frame.start, message: error.to_string() };
        events.push(DecodedEvent { frame, event: WireEvent::Error(error) });
    }

    /// Drops every end but the first among the events from `known` on.
    fn keep_one_end(&mut self, known: usize, events: &mut Vec<DecodedEvent>) {
        let mut index = known;
        while let Some(decoded) = events.get(index) {
            match decoded.event {
                WireEvent::End(_) if self.has_ended => {
                    events.remove(index);
                    continue;
                }
                WireEvent::End(_) => self.has_ended = true,
                WireEvent::Error(_) => self.has_failed = true,
                WireEvent::Start { .. }
                | WireEvent::Text(_)
                | WireEvent::Reasoning(_)
                | WireEvent::ToolUseBegin { .. }
                | WireEvent::ToolUse(_)
                | WireEvent::Counted { .. }
                | WireEvent::Usage(_) => {}
            }
            index += 1;
        }
    }
}

/// Returns true if the mistake is the end of the document: its sender was cut off.
fn is_cut(error: &serde_json::Error, json: &[u8]) -> bool {
    let last_line = json.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let lines = memchr::memchr_iter(b'\n', json).count() + 1;
    error.is_eof() || (error.line() == lines && error.column() >= last_line.len())
}

fn of_format(format: WireFormat) -> Box<dyn FrameDecoder> {
    match format {
        WireFormat::OpenaiChat => Box::<ChatDecoder>::default(),
        WireFormat::OpenaiResponses => Box::<ResponsesDecoder>::default(),
        WireFormat::OpenaiEmbeddings | WireFormat::Opaque => Box::<EmbeddingsDecoder>::default(),
        WireFormat::AnthropicMessages => Box::<MessagesDecoder>::default(),
        WireFormat::GeminiGenerate => Box::<GeminiDecoder>::default(),
        WireFormat::AnthropicCountTokens | WireFormat::GeminiCountTokens => {
            Box::<TokenCountDecoder>::default()
        }
    }
}
