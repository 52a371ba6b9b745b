//! Errors of commands of callers to live runs.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::run::Rejection;
use thiserror::Error;

use crate::error::{CodedError, IoFailure, NoRandomness, RunEnding, operation_error};
use crate::schema::SchemaProblem;
use crate::secret_names::spoken as spoken_secrets;
use crate::{equipment, parcels, payload, people, reconcile, unheld};

operation_error! {
    /// Error: a command to a run failed, or was not carried out in time.
    pub enum Error {
        /// A command to a live run was not carried out, or not in time.
        Problem(AskProblem),
        /// The model refuses the command.
        Rejected(Rejection),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
        /// A decision about a run that no process holds cannot be made.
        Unheld(unheld::Error),
        /// The question cannot be found or answered.
        People(people::Error),
        /// A schema is malformed, or the input does not match it.
        Schema(SchemaProblem),
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// The agent cannot be equipped with what its tier and services say.
        Equipment(equipment::Error),
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
        /// A file or process operation failed.
        Io(IoFailure),
        /// The system has no randomness to give.
        Randomness(NoRandomness),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Error: a command to a live run was not carried out, or not in time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AskProblem {
    /// The run did not carry the command out in time.
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
