//! Errors of hooks.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::CodedError;

/// Error: a hook cannot be defined, or a request to a hook is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A field of the definition is wrong.
    #[error("{reason}")]
    Invalid {
        /// JSON pointer to the field.
        pointer: String,
        /// Reason in words.
        reason: String,
    },
    /// The hook does not exist.
    #[error("there is no hook {name}")]
    NotFound {
        /// Name that was given.
        name: String,
    },
    /// The namespace has the most hooks it may have.
    #[error("the namespace has {limit} hooks already, and may not have more")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// Other processes changed the hook at the same time, on every try.
    #[error("the hook {name} is being changed by others")]
    Contended {
        /// Name of the hook.
        name: String,
    },
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
            Self::Invalid { .. } => ErrorCode::HookInvalid,
            Self::NotFound { .. } => ErrorCode::HookNotFound,
            Self::TooMany { .. } => ErrorCode::TooManyDefinitions,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
            Self::Signature { .. } => ErrorCode::SignatureInvalid,
            Self::Disabled { .. } => ErrorCode::HookDisabled,
            Self::Rejected { .. } => ErrorCode::HookRejected,
        }
    }
}

impl Error {
    /// Returns the JSON pointer of the invalid field.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Invalid { pointer, .. } => Some(pointer),
            Self::NotFound { .. }
            | Self::TooMany { .. }
            | Self::Contended { .. }
            | Self::Signature { .. }
            | Self::Disabled { .. }
            | Self::Rejected { .. } => None,
        }
    }
}
