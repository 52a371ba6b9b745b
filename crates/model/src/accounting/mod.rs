//! Reports of agents about their calls, and the counts that errand takes from them.
//!
//! [`check`] refuses an invalid report with an exact message. Events that are already in a journal
//! are read leniently instead ([`ModelCall::of`], [`ToolCall::of`]): a missing or invalid member
//! counts as nothing, so every accepted event can always be counted.

mod check;
mod cost;
mod fields;
mod model_call;
mod token_usage;
mod tool_call;

pub use crate::tokens::Tokens;
pub use check::check;
pub use cost::{MalformedCost, micro_usd};
pub use fields::InvalidField;
pub use model_call::{Cost, CostBasis, ModelCall};
pub use token_usage::TokenUsage;
pub use tool_call::{SideEffect, ToolCall};

/// The type of a model call's event.
pub const MODEL_CALLED: &str = "model.called";
/// The type of the event with the request of a model call, which the model gateway records.
pub const MODEL_REQUESTED: &str = "model.requested";
/// The type of the event of a failed try of a model call, after which another model was called.
pub const MODEL_TRY_FAILED: &str = "model.try_failed";
/// The type of the event of model calls that were refused before their providers were called.
pub const MODEL_REFUSED: &str = "model.refused";
/// The type of the event of tool calls that were refused before they were steps.
pub const TOOL_REFUSED: &str = "tool.refused";
/// Word of events about refused calls that errand wrote, in their member `refused_by`.
pub const REFUSED_BY: &str = "gateway";
/// The type of a tool call's event.
pub const TOOL_CALLED: &str = "tool.called";
/// The type of the event of an access to memory.
pub const MEMORY_ACCESSED: &str = "memory.accessed";
/// The type of the event of a look-up in a body of knowledge.
pub const KNOWLEDGE_RETRIEVED: &str = "knowledge.retrieved";

/// The most tokens of one call: far above any model's, and sums of millions of calls stay in 63
/// bits.
pub const MAX_TOKENS: u64 = 1_000_000_000_000;
/// The highest cost of one call, in millionths of a US dollar: a million dollars.
pub const MAX_COST_MICRO_USD: u64 = 1_000_000_000_000;
/// The longest call, in milliseconds: 31 years.
pub const MAX_DURATION_MS: u64 = 1_000_000_000_000;
/// The longest name of a provider, model, tool, step or agent in a report, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
