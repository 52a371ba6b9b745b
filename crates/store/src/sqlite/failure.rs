//! Failures of SQLite, classified by their remedy.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::Error;

/// Error: an operation or a query failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The operation is refused and wrote nothing: others in the same transaction are not affected.
    Refused(Error),
    /// The file was replaced: open the new one, and try again.
    Replaced,
    /// The database failed: the transaction must be rolled back.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// Returns true if another process holds a lock, and the same call may succeed soon.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Replaced => false,
            Self::Database(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
        }
    }

    /// Converts the failure into the caller's error.
    pub(crate) fn explain(self, path: &Path, doing: &'static str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Replaced => Error::Missing { path: path.to_path_buf() },
            Self::Database(error) => explain(error, path, doing),
        }
    }
}

/// Creates the error for one of several callers.
pub(crate) fn explain_to_many(error: &rusqlite::Error, path: &Path, doing: &'static str) -> Error {
    let code = error
        .sqlite_error()
        .copied()
        .unwrap_or(ffi::Error { code: ErrorCode::Unknown, extended_code: ffi::SQLITE_ERROR });
    let copy = rusqlite::Error::SqliteFailure(code, Some(error.to_string()));
    explain(copy, path, doing)
}

pub(crate) fn explain(error: rusqlite::Error, path: &Path, doing: &'static str) -> Error {
    let path = path.to_path_buf();
    if is_full(&error) {
        return Error::Full { path };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::ReadOnly { path },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::Corrupt { path, reason: error.to_string() }
        }
        Some(ErrorCode::CannotOpen) if !path.exists() => Error::Missing { path },
        _ => Error::Database { doing, source: error },
    }
}

/// Returns true for a full disk, also if the shared memory file of the log cannot grow.
fn is_full(error: &rusqlite::Error) -> bool {
    match error.sqlite_error() {
        Some(found) => {
            found.code == ErrorCode::DiskFull || found.extended_code == ffi::SQLITE_IOERR_SHMSIZE
        }
        None => false,
    }
}
