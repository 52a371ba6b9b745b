//! What SQLite says, turned into what a caller can do about it.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::Error;

/// Why an operation or a query did not happen.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is refused, and wrote nothing: others in the same transaction are not concerned.
    Refused(Error),
    /// The file was replaced by another one: open that, and try again.
    Replaced,
    /// The database failed: nothing of the transaction may be kept.
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
    /// Whether another process is in the way, and the same call may work in a moment.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Replaced => false,
            Self::Database(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
        }
    }

    /// The error for the caller.
    pub(crate) fn explain(self, path: &Path, doing: &'static str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Replaced => Error::Missing { path: path.to_path_buf() },
            Self::Database(error) => explain(error, path, doing),
        }
    }
}

/// The error for the caller, again for each of several callers.
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

/// A full disk shows as such, or where the shared memory file of the log cannot grow.
fn is_full(error: &rusqlite::Error) -> bool {
    match error.sqlite_error() {
        Some(found) => {
            found.code == ErrorCode::DiskFull || found.extended_code == ffi::SQLITE_IOERR_SHMSIZE
        }
        None => false,
    }
}
