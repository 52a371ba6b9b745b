//! Why something about hooks cannot be done.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

/// Why a hook cannot be defined, or a request to one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A field of the definition is wrong.
    #[error("{reason}")]
    Invalid {
        /// Which: a JSON pointer.
        pointer: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such hook.
    #[error("there is no hook {name}")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// More hooks than one namespace may have.
    #[error("the namespace has {limit} hooks already, and may not have more")]
    TooMany {
        /// How many it may have.
        limit: u32,
    },
    /// Somebody else changed it at the same time, again and again.
    #[error("the hook {name} is being changed by others")]
    Contended {
        /// Which.
        name: String,
    },
    /// The request is not signed as the hook asks for.
    #[error("the signature of the request does not hold: {reason}")]
    Signature {
        /// What is wrong with it; never what it should have been.
        reason: &'static str,
    },
    /// The hook takes no requests.
    #[error("the hook {name} is disabled")]
    Disabled {
        /// Which.
        name: String,
    },
    /// The request is not what the hook asks for.
    #[error("{reason}")]
    Rejected {
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
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

    /// The field that is wrong, as a JSON pointer.
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
