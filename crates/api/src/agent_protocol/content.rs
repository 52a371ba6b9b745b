//! Outputs and states on the wire: a JSON value, and how it is to be read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use errand_model::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

// A stored blob has the bytes themselves: see `errand_model::Encoding`.
/// Encoding of a value that stands beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Encoding")]
pub enum ValueEncoding {
    /// The value itself.
    #[default]
    Json,
    /// A string: the text, which need not be JSON, such as what a command printed.
    Text,
    /// A string: bytes that are no UTF-8, in standard base64.
    Base64,
}

impl ValueEncoding {
    /// Bytes for the wire: text if they are UTF-8, base64 otherwise.
    pub fn of_bytes(bytes: Vec<u8>) -> (String, Self) {
        match String::from_utf8(bytes) {
            Ok(text) => (text, Self::Text),
            Err(error) => (STANDARD.encode(error.as_bytes()), Self::Base64),
        }
    }

    /// Returns true if a reader may ignore the encoding.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(super) fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// The value as errand keeps it.
///
/// # Errors
///
/// [`ContentError::NotAString`] for text or base64 that is no string. Whether a string is base64 is
/// for the receiver to check.
pub fn payload(value: Value, encoding: ValueEncoding) -> Result<Payload, ContentError> {
    match (encoding, value) {
        (ValueEncoding::Json, value) => Ok(Payload::Json(value)),
        (ValueEncoding::Text, Value::String(text)) => Ok(Payload::Text(text)),
        (ValueEncoding::Base64, Value::String(text)) => Ok(Payload::Base64(text)),
        (ValueEncoding::Text | ValueEncoding::Base64, _) => Err(ContentError::NotAString),
    }
}

/// Converts a stored payload for the wire.
///
/// # Errors
///
/// [`ContentError::Elsewhere`] for a blob: its bytes are fetched first.
pub fn unpack(payload: Payload) -> Result<(Value, ValueEncoding), ContentError> {
    match payload {
        Payload::Json(value) => Ok((value, ValueEncoding::Json)),
        Payload::Text(text) => Ok((Value::String(text), ValueEncoding::Text)),
        Payload::Base64(text) => Ok((Value::String(text), ValueEncoding::Base64)),
        Payload::Blob(_) => Err(ContentError::Elsewhere),
    }
}

/// A value does not fit its encoding.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ContentError {
    /// The encoding says text or base64.
    #[error("a value of encoding `text` or `base64` must be a string")]
    NotAString,
    /// The bytes are in the blob store.
    #[error("the bytes are in the blob store (this is a bug of errand)")]
    Elsewhere,
}
