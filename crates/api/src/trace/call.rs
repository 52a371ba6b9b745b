//! Call of which a step consists: its key is a digest, which says nothing to people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digits of the digest in a key that errand makes for a call.
const DIGEST_DIGITS: usize = 24;

/// A model or tool call that came through errand, as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TracedCall {
    /// A model call.
    Model {
        /// Number in the run, from 1, as `errand calls` counts.
        number: u64,
        /// `provider/model` that answered, or that was asked for; method and path of a call without a
        /// model.
        name: String,
    },
    /// A tool call.
    Tool {
        /// Name of the tool.
        name: String,
    },
}

impl TracedCall {
    /// Returns the call of a step that errand made of a tool call, from the key of the step; `None` for
    /// any other step.
    pub(super) fn of_tool_step(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("tool/").filter(|_| is_key_of_call(key))?.rsplitn(3, '/');
        let name = parts.nth(2).filter(|name| !name.is_empty())?;
        Some(Self::Tool { name: name.to_owned() })
    }

    /// Returns the name with the number of a model call, for a sentence.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Model { number, name } => format!("model call {number} ({name})"),
            Self::Tool { name } => format!("tool {name}"),
        }
    }
}

/// Reports whether a key is one that errand makes for a call: it ends with a digest and a number.
pub(super) fn is_key_of_call(key: &str) -> bool {
    let mut parts = key.rsplit('/');
    let (number, digest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let has_all = |text: &str, is_digit: fn(&u8) -> bool| text.bytes().all(|byte| is_digit(&byte));
    !number.is_empty()
        && has_all(number, u8::is_ascii_digit)
        && digest.len() == DIGEST_DIGITS
        && has_all(digest, u8::is_ascii_hexdigit)
}
