//! Errors of making new runs from old ones.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;

/// Error: the run cannot be repeated in this way.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {run_id} {reason}")]
pub struct NotRetryable {
    /// Id of the run.
    pub run_id: RunId,
    /// Reason, as a predicate of the run.
    pub reason: &'static str,
}

impl CodedError for NotRetryable {
    fn code(&self) -> ErrorCode {
        ErrorCode::RunNotRetryable
    }
}
