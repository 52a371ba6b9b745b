//! Ids of requests.

use std::fmt;

use serde_json::value::RawValue;

/// Id of a request: a string or a number, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct McpId(String);

impl McpId {
    /// The id as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    pub(super) fn of(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let is_id =
            text.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
        is_id.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for McpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
