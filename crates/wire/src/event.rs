//! Events that a decoder finds in an answer.

use thiserror::Error;

use crate::usage::WireUsage;

/// Bytes of an answer: a frame of a stream, or a whole body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameSpan {
    /// Offset of the first byte in the answer.
    pub start: u64,
    /// Offset behind the last byte, the empty line of the frame included.
    pub end: u64,
}

/// An event with the bytes that completed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedEvent {
    /// The frame whose last byte completed the event.
    pub frame: FrameSpan,
    /// The event.
    pub event: WireEvent,
}

/// Content of an answer, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireEvent {
    /// Identity of the answer; comes once, before any content.
    Start {
        /// Id that the provider gave the answer.
        id: Option<String>,
        /// Model that answers, which may be a dated version of the one that was asked for.
        model: Option<String>,
    },
    /// A piece of the text that the model wrote, a refusal of its own included.
    Text(String),
    /// A piece of the model's reasoning, as far as the provider shows it.
    Reasoning(String),
    /// The first frame of a tool use, of which the arguments may be still to come. A gateway that
    /// asks for an approval holds the stream from here on.
    ToolUseBegin {
        /// Id of the tool use.
        id: Option<String>,
        /// Name of the tool.
        name: String,
    },
    /// A tool use with all of its arguments.
    ToolUse(ToolUse),
    /// Tokens of a request that was only counted.
    Counted {
        /// Tokens that the request would have as input.
        input_tokens: u64,
    },
    /// Usage as far as it is reported. A later one replaces it; they are never added.
    Usage(WireUsage),
    /// End of the answer.
    End(EndReason),
    /// An error: of the provider, or in the answer's form.
    Error(AnswerError),
}

/// A tool use that the model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUse {
    /// Id that the result refers to. Gemini may give none.
    pub id: Option<String>,
    /// Name of the tool.
    pub name: String,
    /// Arguments as sent: JSON text, or plain text for a tool with free input.
    pub arguments: String,
    /// Place where the tool runs.
    pub site: ToolSite,
}

/// Place where a tool runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolSite {
    /// The client: the model waits for a result.
    #[default]
    Client,
    /// The provider, which has run it already, such as a web search.
    Provider,
}

/// Reason for which an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The model had said everything, or met a stop sequence.
    Complete,
    /// The limit of tokens was met.
    Length,
    /// The model waits for results of tools.
    ToolUse,
    /// The provider or the model refused to answer.
    Refused,
    /// The body ended before the answer did.
    Cut,
    /// Another reason, in the provider's word.
    Other(String),
}

/// An error in an answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AnswerError {
    /// The provider's own error.
    #[error("{message}")]
    Provider {
        /// Kind in the provider's word, such as `overloaded_error`; may be empty.
        kind: String,
        /// Text of the provider.
        message: String,
    },
    /// The answer is not JSON of the expected form.
    #[error("the answer is malformed in the frame at byte {at}: {message}")]
    Malformed {
        /// Offset of the frame in the answer.
        at: u64,
        /// Description of the mistake, with line and column in the frame.
        message: String,
    },
    /// A frame is longer than any that is decoded. The rest of the answer is not decoded.
    #[error("a frame of the answer has more than {limit_bytes} bytes")]
    TooLong {
        /// The most bytes of a frame.
        limit_bytes: usize,
    },
}

/// Receiver of a frame's events.
#[derive(Debug)]
pub(crate) struct Events<'o> {
    frame: FrameSpan,
    list: &'o mut Vec<DecodedEvent>,
}

impl<'o> Events<'o> {
    pub(crate) const fn new(frame: FrameSpan, list: &'o mut Vec<DecodedEvent>) -> Self {
        Self { frame, list }
    }

    pub(crate) fn push(&mut self, event: WireEvent) {
        self.list.push(DecodedEvent { frame: self.frame, event });
    }

    /// Adds a piece of text, if there is any.
    pub(crate) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(WireEvent::Text(text.to_owned()));
        }
    }

    /// Adds a piece of reasoning, if there is any.
    pub(crate) fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.push(WireEvent::Reasoning(text.to_owned()));
        }
    }

    pub(crate) fn provider_error(&mut self, kind: &str, message: &str) {
        let (kind, message) = (kind.to_owned(), message.to_owned());
        self.push(WireEvent::Error(AnswerError::Provider { kind, message }));
    }
}
