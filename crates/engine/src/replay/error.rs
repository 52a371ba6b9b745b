//! Errors of planning a replay.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;

/// Error: a live replay would repeat external side effects.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {run_id} had effects outside, which a live replay would have once more: {calls}")]
pub struct ReplayEffects {
    /// Id of the run.
    pub run_id: RunId,
    /// The tool calls, in a line.
    pub calls: String,
}

impl CodedError for ReplayEffects {
    fn code(&self) -> ErrorCode {
        ErrorCode::ReplayEffects
    }
}
