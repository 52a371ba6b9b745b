//! Errors of requests to hooks.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::CodedError;

/// Error: a request to a hook is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The signature of the request is wrong.
    #[error("the signature of the request does not hold: {reason}")]
    Signature {
        /// Reason in words, which never contain the right signature.
        reason: &'static str,
    },
    /// The hook is disabled.
    #[error("the hook {name} is disabled")]
    Disabled {
        /// Name of the hook.
        name: String,
    },
    /// The request does not fit the hook's definition.
    #[error("{reason}")]
    Rejected {
        /// Reason in words.
        reason: String,
    },
}

impl CodedError for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Signature { .. } => ErrorCode::SignatureInvalid,
            Self::Disabled { .. } => ErrorCode::HookDisabled,
            Self::Rejected { .. } => ErrorCode::HookRejected,
        }
    }
}
