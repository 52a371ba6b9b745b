//! Errors of writing a journal.

use std::sync::Arc;

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;

/// Error: this process cannot write the journal any more.
#[derive(Clone, Debug, Error)]
pub enum JournalProblem {
    /// A write failed, or another process took the run over.
    #[error("the journal is lost to this process")]
    Lost {
        /// Cause.
        #[source]
        source: Arc<crate::Error>,
    },
    /// The lease has expired or was taken over: nothing is written, and no process of the run may
    /// go on here.
    #[error("the lease of run {run_id} is over: it was not renewed in time, or is somebody else's")]
    LeaseOver {
        /// Id of the run.
        run_id: RunId,
    },
}

impl CodedError for JournalProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Lost { source } if source.code() == ErrorCode::DiskFull => ErrorCode::DiskFull,
            Self::Lost { .. } => ErrorCode::Fenced,
            Self::LeaseOver { .. } => ErrorCode::LeaseLost,
        }
    }
}
