//! Errors of a file that is no export, or a damaged one.

use super::FileError;

/// Returns the error for a file that is no export.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(super) fn foreign(error: impl ToString) -> FileError {
    FileError::Foreign { reason: error.to_string() }
}

/// Returns the error of an export with a damaged part.
pub(super) fn damaged(what: impl Into<String>) -> FileError {
    FileError::Damaged { what: what.into() }
}
