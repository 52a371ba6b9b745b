//! Errors of commands of callers to live runs.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;
use crate::secret_names::spoken as spoken_secrets;

/// Error: a live run does not do as it is asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AskProblem {
    /// The run did not do it in time.
    #[error("run {run_id} is still {status} after {waited_ms} ms")]
    StillLive {
        /// Id of the run.
        run_id: RunId,
        /// Status of the run.
        status: &'static str,
        /// Time waited, in milliseconds.
        waited_ms: u64,
    },
    /// The run is supervised on another machine.
    #[error("run {run_id} is supervised on {host}, not on this machine")]
    Elsewhere {
        /// Id of the run.
        run_id: RunId,
        /// Name of that machine.
        host: String,
    },
    /// The run waits for secrets that its next attempt needs.
    #[error("run {run_id} waits for {}", spoken_secrets(names))]
    AwaitsSecrets {
        /// Id of the run.
        run_id: RunId,
        /// Names of the secrets.
        names: Vec<String>,
    },
}

impl CodedError for AskProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::StillLive { .. } => ErrorCode::RunLive,
            Self::Elsewhere { .. } => ErrorCode::RunElsewhere,
            Self::AwaitsSecrets { .. } => ErrorCode::SecretMissing,
        }
    }
}
