//! Why something about receivers and reports cannot be done.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use super::url::Refused;

/// Why the outbox cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The URL is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is a receiver of that origin already.
    #[error("the callback target {origin} is there already")]
    TargetExists {
        /// Scheme, host and port.
        origin: String,
    },
    /// There is no such receiver.
    #[error("there is no callback target {origin}")]
    NoTarget {
        /// What was asked for.
        origin: String,
    },
    /// More receivers than one namespace may have.
    #[error("the namespace has {limit} callback targets already, and may not have more")]
    TooManyTargets {
        /// How many it may have.
        limit: u32,
    },
    /// The run has no such report.
    #[error("there is no callback {id}")]
    NoEntry {
        /// What was asked for.
        id: String,
    },
    /// Somebody else changed it at the same time, again and again.
    #[error("{what} is being changed by others")]
    Contended {
        /// What.
        what: String,
    },
}

impl Error {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
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
