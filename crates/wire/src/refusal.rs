//! Refusals of a gateway in the shape that each format's clients know.
//!
//! A call that errand forbids is a 403: clients repeat a 429 against a limit that does not recover,
//! and give up on a 403 even where they do not read `x-should-retry`.

use serde_json::{Value, json};

use crate::format::WireFormat;

/// Cause of a refusal, as far as clients tell causes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// A budget leaves no room for the call.
    Budget,
    /// A policy or a person forbids the call.
    Forbidden,
    /// The key is missing, or is not the one of the attempt.
    Unauthorized,
    /// The request cannot be understood.
    Invalid,
    /// Nothing is served at the path.
    Missing,
    /// The request is too large.
    TooLarge,
    /// The connection would have to change its protocol.
    Upgrade,
    /// The provider cannot be reached: the client may try again.
    Unreachable,
}

impl RefusalCause {
    /// Status code.
    pub const fn status(self) -> u16 {
        match self {
            Self::Budget | Self::Forbidden => 403,
            Self::Unauthorized => 401,
            Self::Invalid => 400,
            Self::Missing => 404,
            Self::TooLarge => 413,
            Self::Upgrade => 426,
            Self::Unreachable => 502,
        }
    }

    /// Returns true if the client may repeat the call.
    const fn may_repeat(self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Budget
            | Self::Forbidden
            | Self::Unauthorized
            | Self::Invalid
            | Self::Missing
            | Self::TooLarge
            | Self::Upgrade => false,
        }
    }

    /// Kind of the error in `OpenAI`'s words.
    const fn openai_type(self) -> &'static str {
        match self {
            Self::Budget => "insufficient_quota",
            Self::Forbidden => "permission_error",
            Self::Unauthorized => "authentication_error",
            Self::Invalid | Self::Missing | Self::TooLarge | Self::Upgrade => {
                "invalid_request_error"
            }
            Self::Unreachable => "server_error",
        }
    }

    /// Kind of the error in Anthropic's words.
    const fn anthropic_type(self) -> &'static str {
        match self {
            Self::Budget | Self::Forbidden => "permission_error",
            Self::Unauthorized => "authentication_error",
            Self::Invalid | Self::Upgrade => "invalid_request_error",
            Self::Missing => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::Unreachable => "api_error",
        }
    }

    /// Kind of the error in Google's words.
    const fn google_status(self) -> &'static str {
        match self {
            Self::Budget | Self::Forbidden => "PERMISSION_DENIED",
            Self::Unauthorized => "UNAUTHENTICATED",
            Self::Invalid | Self::TooLarge | Self::Upgrade => "INVALID_ARGUMENT",
            Self::Missing => "NOT_FOUND",
            Self::Unreachable => "UNAVAILABLE",
        }
    }
}

/// A refusal of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireRefusal<'a> {
    /// Cause of the refusal.
    pub cause: RefusalCause,
    /// Error code of errand, such as `budget_exceeded`.
    pub code: &'a str,
    /// A sentence for the person who reads the agent's output.
    pub message: &'a str,
}

/// Response to a call that was refused before it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalResponse {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl WireRefusal<'_> {
    /// Returns the response to a call that is refused before anything of it was answered.
    pub fn response(&self, format: WireFormat, shape: RefusalShape) -> RefusalResponse {
        let error = match shape {
            RefusalShape::Document => self.error(format),
            RefusalShape::Array => Value::Array(vec![self.error(format)]),
        };
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if !self.cause.may_repeat() {
            headers.push(("x-should-retry", "false".to_owned()));
        }
        headers.push(("errand-error-code", self.code.to_owned()));
        RefusalResponse {
            status: self.cause.status(),
            headers,
            body: error.to_string().into_bytes(),
        }
    }

    /// Returns the event that ends a stream which has begun: its status cannot be changed.
    ///
    /// `next_number` is the sequence number after those that were sent, which responses count.
    pub fn stream_event(&self, format: WireFormat, next_number: u64) -> Vec<u8> {
        let text = match format {
            WireFormat::AnthropicMessages | WireFormat::AnthropicCountTokens => {
                format!("event: error\ndata: {}\n\n", self.error(format))
            }
            WireFormat::OpenaiResponses => {
                let event = json!({
                    "type": "error",
                    "sequence_number": next_number,
                    "code": self.openai_code(),
                    "message": self.message,
                    "param": null,
                });
                format!("event: error\ndata: {event}\n\n")
            }
            WireFormat::OpenaiChat
            | WireFormat::OpenaiEmbeddings
            | WireFormat::GeminiGenerate
            | WireFormat::GeminiCountTokens
            | WireFormat::Opaque => format!("data: {}\n\n", self.error(format)),
        };
        text.into_bytes()
    }

    fn error(&self, format: WireFormat) -> Value {
        match format {
            WireFormat::OpenaiChat
            | WireFormat::OpenaiResponses
            | WireFormat::OpenaiEmbeddings
            | WireFormat::Opaque => json!({"error": {
                "message": self.message,
                "type": self.cause.openai_type(),
                "param": null,
                "code": self.openai_code(),
            }}),
            WireFormat::AnthropicMessages | WireFormat::AnthropicCountTokens => json!({
                "type": "error",
                "error": {"type": self.cause.anthropic_type(), "message": self.message},
            }),
            WireFormat::GeminiGenerate | WireFormat::GeminiCountTokens => json!({"error": {
                "code": self.cause.status(),
                "message": self.message,
                "status": self.cause.google_status(),
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": self.code.to_ascii_uppercase(),
                    "domain": "errand",
                }],
            }}),
        }
    }

    /// A code that clients treat as final where there is one, else ours.
    const fn openai_code(&self) -> &str {
        match self.cause {
            RefusalCause::Budget => "insufficient_quota",
            RefusalCause::Forbidden
            | RefusalCause::Unauthorized
            | RefusalCause::Invalid
            | RefusalCause::Missing
            | RefusalCause::TooLarge
            | RefusalCause::Upgrade
            | RefusalCause::Unreachable => self.code,
        }
    }
}

/// Form of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalShape {
    /// The error itself.
    Document,
    /// An array with the error, for a client that reads an array piece by piece.
    Array,
}

impl RefusalShape {
    /// Returns the form that the client of a call reads, by its format, its target with the query,
    /// and the stream it asked for.
    pub fn of(format: WireFormat, target: &str, is_stream: bool) -> Self {
        let is_events = crate::format::query(target, "alt") == Some("sse");
        if format == WireFormat::GeminiGenerate && is_stream && !is_events {
            Self::Array
        } else {
            Self::Document
        }
    }
}
