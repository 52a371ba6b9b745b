//! Wire formats of model providers and tool servers: requests described, answers decoded.
//!
//! A gateway passes bytes on unchanged and gives this crate a copy. [`WireCall::of`] describes a
//! request, [`AnswerDecoder`] an answer, whole or as a stream that arrives in arbitrary pieces;
//! [`mcp`] does the same for tool servers. [`refusal`] answers in a client's own shape, and
//! [`UsageRequest`] asks for the usage of a stream whose client did not, and [`RenamedRequest`] asks
//! another model.
//!
//! Unknown members never fail, and a member of an unexpected type is as if it were not there: a
//! provider may add to its format on any day. Deliberately absent: input and output, compression,
//! translation between formats, prices.

mod answer;
mod calls;
mod canonical;
mod chat;
mod decoder;
mod describe;
mod embeddings;
mod estimate;
mod event;
mod format;
mod frame;
mod gemini;
mod instructed_request;
mod json_array;
mod lenient;
pub mod mcp;

mod messages;
mod model_name;
mod open_tools;
mod pointer;
pub mod refusal;
mod request;
mod responses;
mod sse;
mod token_count;
mod usage;
mod usage_request;

pub use answer::{ModelAnswer, UsageState};
pub use calls::{GivenToolResult, WireCall};
pub use canonical::{CanonicalRequest, VolatileField, volatile_fields};
pub use decoder::{AnswerDecoder, AnswerShape};
pub use event::{AnswerError, DecodedEvent, EndReason, FrameSpan, ToolSite, ToolUse, WireEvent};
pub use format::WireFormat;
pub use instructed_request::InstructedRequest;
pub use model_name::RenamedRequest;
pub use pointer::{IgnorePointer, MalformedPointer};
pub use request::MalformedRequest;
pub use usage::WireUsage;
pub use usage_request::{UsageChunkFilter, UsageRequest};
