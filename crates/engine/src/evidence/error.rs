//! Errors of verification.

use crate::error::{BlobFailure, IoFailure, operation_error};

operation_error! {
    /// Error: a run cannot be verified.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A file or process operation failed.
        Io(IoFailure),
    }
}
