//! Codes of errors that end an attempt.

use errand_model::error_code::{CodeClass, ErrorCode};

use crate::Error;

/// Returns the code of an error for the attempt that it ends: `otherwise`, if errand gives the
/// error's own code to no attempt.
pub(super) fn code_for_attempt(error: &Error, otherwise: ErrorCode) -> ErrorCode {
    match error.code() {
        code if code.class() == CodeClass::AgentsOwn => otherwise,
        code => code,
    }
}
