//! Errors of receivers and reports.

use errand_agent::secret;
use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::{CodedError, NoRandomness, PayloadRefused, operation_error};
use crate::outgoing::Refused;
use crate::{audit, values};

operation_error! {
    /// Error: receivers and reports cannot be read or changed.
    pub enum Error {
        /// A receiver or report is refused, missing or contended.
        Problem(CallbackProblem),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A payload is malformed or too large.
        Payload(PayloadRefused),
        /// A value of the run cannot be read.
        Values(values::Error),
        /// A secret is missing, or the secret store cannot be read.
        Secret(secret::Error),
        /// The system has no randomness to give.
        Randomness(NoRandomness),
        /// The audit log cannot be written.
        Audit(audit::Error),
    }
}

/// Error: a receiver or report cannot be found or changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallbackProblem {
    /// The URL is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A receiver of that origin exists.
    #[error("the callback target {origin} is there already")]
    TargetExists {
        /// Scheme, host and port.
        origin: String,
    },
    /// No receiver has that origin.
    #[error("there is no callback target {origin}")]
    NoTarget {
        /// Origin that was given.
        origin: String,
    },
    /// The namespace has the most receivers it may have.
    #[error("the namespace has {limit} callback targets already, and may not have more")]
    TooManyTargets {
        /// The limit.
        limit: u32,
    },
    /// The report does not exist.
    #[error("there is no callback {id}")]
    NoEntry {
        /// Id that was given.
        id: String,
    },
    /// Other processes changed it at the same time, on every try.
    #[error("{what} is being changed by others")]
    Contended {
        /// Receiver or report, in words.
        what: String,
    },
}

impl CodedError for CallbackProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(_) => ErrorCode::CallbackRefused,
            Self::TargetExists { .. } => ErrorCode::CallbackTargetExists,
            Self::NoTarget { .. } => ErrorCode::CallbackTargetNotFound,
            Self::TooManyTargets { .. } => ErrorCode::TooManyDefinitions,
            Self::NoEntry { .. } => ErrorCode::CallbackNotFound,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
        }
    }
}
