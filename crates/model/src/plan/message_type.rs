//! Types of the messages between the agents of a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of a message between agents.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageType {
    /// Work to do.
    Task,
    /// Result of a task.
    Result,
    /// A verdict on a result, or the question for one.
    Validation,
    /// Something went wrong.
    Error,
    /// For the coordination itself: pause, resume, cancel.
    Control,
}

impl MessageType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Task, Self::Result, Self::Validation, Self::Error, Self::Control];

    /// The stored word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "TASK",
            Self::Result => "RESULT",
            Self::Validation => "VALIDATION",
            Self::Error => "ERROR",
            Self::Control => "CONTROL",
        }
    }
}
