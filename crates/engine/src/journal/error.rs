//! Errors of writing a journal.

use std::sync::Arc;

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::draft::DraftError;
use thiserror::Error;

use crate::error::{CodedError, RunEnding, operation_error};

operation_error! {
    /// Error: the journal does not take what is to be recorded.
    pub enum Error {
        /// This process cannot write the journal any more.
        Problem(JournalProblem),
        /// The run, or this process, is ending.
        Ending(RunEnding),
        /// The model refuses the command.
        Draft(DraftError),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A step is refused.
        Step(errand_model::step::StepRefused),
        /// An agent's event is refused.
        Report(errand_model::event::NotReportable),
    }
}

/// Error: this process cannot write the journal any more.
#[derive(Clone, Debug, Error)]
pub enum JournalProblem {
    /// A write failed, or another process took the run over.
    #[error("the journal is lost to this process")]
    Lost {
        /// Cause.
        #[source]
        source: Arc<Error>,
    },
    /// The lease has expired or was taken over: nothing is written, and no process of the run may
    /// go on here.
    #[error(
        "the lease of run {run_id} is over: it was not renewed in time, or another process holds it"
    )]
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
