//! Events that an agent reports: model and tool calls, memory, knowledge, progress.
//!
//! The data of such an event is the agent's; errand reads the numbers that it counts with care.

use serde_json::Value;
use thiserror::Error;

/// An event whose type and data the agent chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    type_name: String,
    data: Value,
}

impl Reported {
    /// Nouns whose events only errand writes, besides those it shares with agents.
    const RESERVED_NOUNS: &'static [&'static str] = &[
        "run",
        "attempt",
        "step",
        "checkpoint",
        "approval",
        "input",
        "artifact",
        "policy",
        "egress",
        "budget",
        "output",
        "wake",
        "listener",
        "handoff",
        "message",
        "coordination",
        "child",
        "session",
        "bom",
        "replay",
        "checkback",
    ];
    /// The longest type.
    pub const TYPE_LIMIT_BYTES: usize = 64;

    /// Checks what an agent reports.
    ///
    /// # Errors
    ///
    /// [`NotReportable`] if the type is not `noun.verb_past`, is one that only errand writes, or
    /// the data is not an object.
    pub fn new(type_name: &str, data: Value) -> Result<Self, NotReportable> {
        let reported = Self::stored(type_name, data)?;
        let noun = type_name.split('.').next().unwrap_or_default();
        if Self::RESERVED_NOUNS.contains(&noun) {
            return Err(NotReportable::Reserved { noun: noun.to_owned() });
        }
        Ok(reported)
    }

    /// Reads back what was once accepted, or what a newer program wrote.
    pub(super) fn stored(type_name: &str, data: Value) -> Result<Self, NotReportable> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        let mut words = type_name.split('.');
        let two_words = words.next().is_some_and(is_word)
            && words.next().is_some_and(is_word)
            && words.next().is_none();
        if !two_words || type_name.len() > Self::TYPE_LIMIT_BYTES {
            return Err(NotReportable::Type { type_name: type_name.to_owned() });
        }
        if !data.is_object() {
            return Err(NotReportable::Data { type_name: type_name.to_owned() });
        }
        Ok(Self { type_name: type_name.to_owned(), data })
    }

    /// `noun.verb_past`.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// A JSON object.
    pub fn data(&self) -> &Value {
        &self.data
    }
}

/// An agent reported what it cannot.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotReportable {
    /// The type is not two words of `a-z`, `0-9` and `_` with a dot between them.
    #[error(
        "{type_name:?} is not an event type: it has the form noun.verb_past, such as model.called"
    )]
    Type {
        /// Name as given.
        type_name: String,
    },
    /// Only errand writes events of this noun.
    #[error("events of {noun:?} are written by errand alone")]
    Reserved {
        /// The noun.
        noun: String,
    },
    /// The data is not a JSON object.
    #[error("the data of {type_name} is not a JSON object")]
    Data {
        /// The type it came with.
        type_name: String,
    },
}
