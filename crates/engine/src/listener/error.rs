//! Errors of a listener before it serves.

use std::io;

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::{CodedError, is_full_disk};

/// Error: a listener cannot be bound.
#[derive(Debug, Error)]
pub enum Error {
    /// The address cannot be parsed.
    #[error("{listen_addr:?} is not an address to listen on, such as 127.0.0.1:8080")]
    Address {
        /// Address that was given.
        listen_addr: String,
    },
    /// Other machines can reach the address, and no secret protects the service.
    #[error("{listen_addr} can be reached from other machines, and no secret is set")]
    Unsafe {
        /// Address that was given.
        listen_addr: String,
    },
    /// The hash of the secret is malformed.
    #[error("the secret's hash is not 64 hex digits")]
    Secret,
    /// The system refuses the address.
    #[error("cannot listen on {listen_addr}")]
    Bind {
        /// Address that was given.
        listen_addr: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl CodedError for Error {
    fn code(&self) -> ErrorCode {
        if is_full_disk(self) {
            return ErrorCode::DiskFull;
        }
        match self {
            Self::Address { .. } => ErrorCode::ListenAddressInvalid,
            Self::Unsafe { .. } => ErrorCode::ListenUnsafe,
            Self::Secret => ErrorCode::Internal,
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                ErrorCode::ListenAddressInUse
            }
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                ErrorCode::ListenAddressInvalid
            }
            Self::Bind { .. } => ErrorCode::IoFailed,
        }
    }
}
