//! Names of the events that a run can report.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Something of a run that can be reported. The stored word is the `type` of the report.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum CallbackEvent {
    /// The run completed.
    #[serde(rename = "run.completed")]
    Completed,
    /// The run failed for good.
    #[serde(rename = "run.failed")]
    Failed,
    /// The run was cancelled.
    #[serde(rename = "run.cancelled")]
    Cancelled,
    /// The run waits: for a person, an operator or more budget.
    #[serde(rename = "run.paused")]
    Paused,
    /// The run asks for an approval.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// The run asks a question.
    #[serde(rename = "input.requested")]
    InputRequested,
}

impl CallbackEvent {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Paused,
        Self::ApprovalRequested,
        Self::InputRequested,
    ];

    /// The word for it: the `type` of the journal's event.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "run.completed",
            Self::Failed => "run.failed",
            Self::Cancelled => "run.cancelled",
            Self::Paused => "run.paused",
            Self::ApprovalRequested => "approval.requested",
            Self::InputRequested => "input.requested",
        }
    }

    /// Returns true if the run is over with this event: it is reported unless the caller named
    /// other events.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Paused | Self::ApprovalRequested | Self::InputRequested => false,
        }
    }
}

impl fmt::Display for CallbackEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for CallbackEvent {
    type Err = UnknownCallbackEvent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|event| event.word() == text);
        known.copied().ok_or_else(|| UnknownCallbackEvent { text: text.to_owned() })
    }
}

/// A text that names no event that can be reported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not run.completed, run.failed, run.cancelled, run.paused, approval.requested or \
     input.requested"
)]
pub struct UnknownCallbackEvent {
    /// Text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_again() {
        for event in CallbackEvent::ALL {
            assert_eq!(event.word().parse(), Ok(*event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.word());
        }
        assert!("run.created".parse::<CallbackEvent>().is_err());
    }
}
