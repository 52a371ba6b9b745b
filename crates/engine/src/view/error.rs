//! Errors of reading the registry as documents.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;

/// Error: the run coordinates no agents.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {run_id} coordinates no agents, and was not handed over")]
pub struct NotCoordinated {
    /// Id of the run.
    pub run_id: RunId,
}

impl CodedError for NotCoordinated {
    fn code(&self) -> ErrorCode {
        ErrorCode::RunNotCoordinated
    }
}
