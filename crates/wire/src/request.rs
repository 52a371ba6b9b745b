//! Reading of a request's body.

use serde_json::{Map, Value};
use thiserror::Error;

/// Error: the body of a request is not a JSON object.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the request is not a JSON object: {message} (line {line}, column {column})")]
pub struct MalformedRequest {
    /// Description of the mistake.
    pub message: String,
    /// Line of the mistake, from 1.
    pub line: usize,
    /// Column of the mistake, from 1, in bytes; 0 at the begin of a line.
    pub column: usize,
}

/// Reads the members of a body.
pub(crate) fn parse(body: &[u8]) -> Result<Map<String, Value>, MalformedRequest> {
    serde_json::from_slice(body).map_err(|error| malformed(&error))
}

pub(crate) fn malformed(error: &serde_json::Error) -> MalformedRequest {
    let text = error.to_string();
    // The place is said by fields of its own.
    let message = match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    };
    MalformedRequest { message, line: error.line().max(1), column: error.column() }
}

/// Text of a member, if it is text that is not empty.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Owned text of a member.
pub(crate) fn owned(members: &Map<String, Value>, name: &str) -> Option<String> {
    text(members, name).map(str::to_owned)
}

/// Objects of a member that is an array.
pub(crate) fn objects<'a>(
    members: &'a Map<String, Value>,
    name: &str,
) -> impl DoubleEndedIterator<Item = &'a Map<String, Value>> {
    members.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// A count of a member.
pub(crate) fn count(members: &Map<String, Value>, name: &str) -> Option<u64> {
    members.get(name).and_then(Value::as_u64)
}

/// Returns true if a member is `true`.
pub(crate) fn is_true(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).and_then(Value::as_bool) == Some(true)
}
