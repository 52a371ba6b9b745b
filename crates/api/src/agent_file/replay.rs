//! Settings of the replay of an agent's runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::at::At;
use super::reader::Reader;
use super::scalar::MemberPointer;

/// The most segments of a pointer. Requests are never nested as deep.
const MAX_SEGMENTS: usize = 64;

/// Settings of the replay of an agent's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Replay")]
pub struct AgentReplay {
    /// Members of requests to models that change although a request asks for the same: JSON pointers,
    /// in which a segment `*` stands for every member or item. The digest by which a recorded answer
    /// is found leaves them out, besides those that errand knows of each format.
    #[schemars(with = "Vec<MemberPointer>", extend("uniqueItems" = true), length(max = 64))]
    pub ignore: Vec<String>,
}

impl AgentReplay {
    /// Returns true if nothing is set.
    pub const fn is_empty(&self) -> bool {
        self.ignore.is_empty()
    }
}

/// Reads a JSON pointer (RFC 6901), but for the empty one.
pub(super) fn member_pointer(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let complaint = "is not a JSON pointer";
    let hint = "write /metadata/session, or /messages/*/id for every item; ~1 is a /, ~0 a ~";
    reader.text_that(at, is_pointer, complaint, hint)
}

fn is_pointer(text: &str) -> bool {
    let is_escaped = |part: &str| part.starts_with(['0', '1']);
    text.starts_with('/')
        && text.split('/').count() <= MAX_SEGMENTS + 1
        && text.split('~').skip(1).all(is_escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_have_a_slash_first_and_known_escapes() {
        for (text, fits) in [
            ("/metadata", true),
            ("/messages/*/id", true),
            ("/a~1b/c~0", true),
            ("/", true),
            ("", false),
            ("metadata", false),
            ("/a~", false),
            ("/a~2", false),
        ] {
            assert_eq!(is_pointer(text), fits, "{text}");
        }
    }
}
