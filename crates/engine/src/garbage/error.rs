//! Errors of garbage collection.

use std::path::PathBuf;

use errand_agent::parcel;
use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::{BlobFailure, CodedError, IoFailure, operation_error};

operation_error! {
    /// Error: garbage cannot be found or removed.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A parcel is missing or damaged.
        Parcel(parcel::Error),
        /// A file or process operation failed.
        Io(IoFailure),
        /// Other processes use the registry, or may.
        InUse(RegistryInUse),
    }
}

/// Error: other processes use the registry, or may, which the operation forbids.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("another process uses {root}", root = root.display())]
pub struct RegistryInUse {
    /// Folder of the registry.
    pub root: PathBuf,
}

impl CodedError for RegistryInUse {
    fn code(&self) -> ErrorCode {
        ErrorCode::RegistryBusy
    }
}
