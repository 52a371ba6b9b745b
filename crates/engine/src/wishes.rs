//! Rules for names of runs and sessions, and for environment variables, that callers choose.

use thiserror::Error;

/// Longest name of a run or a session, in characters.
pub const NAME_LIMIT_CHARS: usize = 128;

/// Returns whether `name` is allowed for a run or a session.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= NAME_LIMIT_CHARS
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

/// Reasons against setting an environment variable.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unsettable {
    /// The name or the value is not possible for an environment variable.
    #[error("names have letters, digits and _, and values no NUL")]
    Malformed,
    /// The name is reserved for errand.
    #[error("names that begin with ERRAND_ are errand's own")]
    Own,
}

/// Checks that an agent may be given an environment variable.
///
/// # Errors
///
/// [`Unsettable`].
pub fn check_variable(name: &str, value: &str) -> Result<(), Unsettable> {
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_name || value.contains('\0') {
        return Err(Unsettable::Malformed);
    }
    if name.starts_with("ERRAND_") { Err(Unsettable::Own) } else { Ok(()) }
}
