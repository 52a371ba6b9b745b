//! Errors of briefs.

use errand_api::brief::BRIEF_LIMIT_BYTES;
use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use serde_json::Value;
use thiserror::Error;

use crate::error::{
    AgentUnsupported, BlobFailure, CodedError, IoFailure, PayloadRefused, operation_error,
};
use crate::{catalog, equipment, payload};

operation_error! {
    /// Error: a brief cannot be assembled or loaded.
    pub enum Error {
        /// A definition that the run pinned is missing or damaged.
        Catalog(catalog::Error),
        /// Parts are given for a run without an agent of its own.
        Unsupported(AgentUnsupported),
        /// The brief is too large.
        TooLarge(BriefTooLarge),
        /// The stored brief is no brief.
        Damaged(BriefDamaged),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A parcel, or a definition that the run pinned, cannot be read.
        Equipment(equipment::Error),
        /// The input of the run cannot be read.
        Payloads(payload::Error),
        /// A document cannot be written as JSON.
        Payload(PayloadRefused),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A file cannot be read.
        Io(IoFailure),
    }
}

/// Error: a brief has more than [`BRIEF_LIMIT_BYTES`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the brief has {size_bytes} bytes, and may have {limit}: {}",
    parts.join(", "), limit = BRIEF_LIMIT_BYTES
)]
pub struct BriefTooLarge {
    /// Length of the brief.
    pub size_bytes: usize,
    /// Its parts with their lengths, the largest first.
    pub parts: Vec<String>,
}

/// Parts of a brief that an error names.
const NAMED_PARTS: usize = 8;

impl BriefTooLarge {
    pub(super) fn new(size_bytes: usize, brief: &Value) -> Self {
        let mut parts = Vec::new();
        let length = |value: &Value| errand_model::canonical::to_string(value).len();
        for (name, value) in brief.as_object().into_iter().flatten() {
            match value.as_array().filter(|_| name != "secrets") {
                Some(list) => {
                    let word = name.strip_suffix('s').unwrap_or(name);
                    parts.extend(list.iter().map(|part| {
                        let slug = part.get("slug").and_then(Value::as_str).unwrap_or_default();
                        (format!("{word} {slug}"), length(part))
                    }));
                }
                None => parts.push((name.clone(), length(value))),
            }
        }
        parts.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        let parts = parts.into_iter().take(NAMED_PARTS);
        let parts = parts.map(|(name, length)| format!("{name} {length}")).collect();
        Self { size_bytes, parts }
    }
}

impl CodedError for BriefTooLarge {
    fn code(&self) -> ErrorCode {
        ErrorCode::BriefTooLarge
    }
}

/// Error: the stored brief of a run is no brief.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the stored brief of run {run_id} is no brief: {reason}")]
pub struct BriefDamaged {
    /// Id of the run.
    pub run_id: RunId,
    /// Reason.
    pub reason: String,
}

impl CodedError for BriefDamaged {
    fn code(&self) -> ErrorCode {
        ErrorCode::BriefDamaged
    }
}
