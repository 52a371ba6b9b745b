//! Errors of admission.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::CodedError;

/// Error: coordinators are nested too deeply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{agent} would be more than {limit} coordinators deep",
    limit = errand_model::coordination::DEPTH_LIMIT
)]
pub struct NestedTooDeep {
    /// The agent that was to run.
    pub agent: String,
}

impl CodedError for NestedTooDeep {
    fn code(&self) -> ErrorCode {
        ErrorCode::NestingTooDeep
    }
}
