//! Sum of an answer's events.

use crate::event::{AnswerError, EndReason, ToolUse, WireEvent};
use crate::usage::WireUsage;

/// An answer as far as it was decoded: the fold of its events.
///
/// Grows with the text of the answer, so its reader bounds the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelAnswer {
    /// Id that the provider gave.
    pub id: Option<String>,
    /// Model that answered.
    pub model: Option<String>,
    /// Text of the model.
    pub text: String,
    /// Reasoning of the model, as far as it is shown.
    pub reasoning: String,
    /// Tool uses, in the order in which they were completed.
    pub tool_uses: Vec<ToolUse>,
    /// Tokens of a request that was only counted.
    pub counted: Option<u64>,
    /// Last report of the usage.
    pub usage: Option<WireUsage>,
    /// Reason of the end; `None`: the answer has not ended.
    pub end: Option<EndReason>,
    /// The first error.
    pub error: Option<AnswerError>,
}

/// Knowledge about the usage of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageState {
    /// The provider reported none, which is not zero.
    Unknown,
    /// The answer did not come to its end, or a count is missing: the call used at least that.
    AtLeast(WireUsage),
    /// The usage of the call.
    Known(WireUsage),
}

impl ModelAnswer {
    /// Adds the next event.
    pub fn apply(&mut self, event: &WireEvent) {
        match event {
            WireEvent::Start { id, model } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            WireEvent::Text(text) => self.text.push_str(text),
            WireEvent::Reasoning(text) => self.reasoning.push_str(text),
            WireEvent::ToolUseBegin { .. } => {}
            WireEvent::ToolUse(tool_use) => self.tool_uses.push(tool_use.clone()),
            WireEvent::Counted { input_tokens } => self.counted = Some(*input_tokens),
            WireEvent::Usage(usage) => self.usage = Some(*usage),
            WireEvent::End(reason) => self.end = Some(reason.clone()),
            WireEvent::Error(error) => {
                self.error.get_or_insert_with(|| error.clone());
            }
        }
    }

    /// Returns the knowledge about the usage. It is final only after the end of the answer.
    pub fn usage_state(&self) -> UsageState {
        let has_ended = match &self.end {
            Some(EndReason::Cut) | None => false,
            Some(
                EndReason::Complete
                | EndReason::Length
                | EndReason::ToolUse
                | EndReason::Refused
                | EndReason::Other(_),
            ) => true,
        };
        match self.usage {
            None => UsageState::Unknown,
            Some(usage) if usage.is_unknown() => UsageState::Unknown,
            Some(usage) if has_ended && usage.input.is_some() && usage.output.is_some() => {
                UsageState::Known(usage)
            }
            Some(usage) => UsageState::AtLeast(usage),
        }
    }
}
