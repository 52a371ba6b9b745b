//! Errors of planning a replay.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::replay::NotReplayable;
use thiserror::Error;

use crate::again::NotRetryable;
use crate::error::{CodedError, RunLive, operation_error};
use crate::{again, reconcile, submission};

operation_error! {
    /// Error: a run cannot be replayed.
    pub enum Error {
        /// The run cannot be replayed strictly.
        NotReplayable(NotReplayable),
        /// A live replay would repeat external side effects.
        ReplayEffects(ReplayEffects),
        /// The run cannot be repeated in this way.
        NotRetryable(NotRetryable),
        /// The run is live.
        Live(RunLive),
        /// The run cannot be repeated.
        Again(again::Error),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
        /// The request to run is refused.
        Submission(submission::Error),
    }
}

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
