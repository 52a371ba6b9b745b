//! Inputs and outputs of runs: bytes, text or JSON, in place or by digest.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// Data above this many bytes lives in the blob store; the event carries its digest.
pub const INLINE_LIMIT_BYTES: usize = 32 * 1024;

/// An input, an output, a checkpoint or a step's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A JSON document.
    Json(Value),
    /// Text, exactly as it was given.
    Text(String),
    /// Bytes that are no UTF-8, in standard base64.
    Base64(String),
    /// Anything longer than [`INLINE_LIMIT_BYTES`].
    Blob(Blob),
}

/// Bytes in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The sha-256 of the bytes: their name in the store.
    pub digest: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Encoding of the bytes.
    pub encoding: Encoding,
}

/// Encoding of a blob's bytes, which are stored as they are; in JSON they are base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A JSON document.
    Json,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}
