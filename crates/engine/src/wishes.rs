//! What callers may ask for: names of runs and sessions, environment variables.

use thiserror::Error;

/// The longest name of a run or a session.
pub const NAME_LIMIT_CHARS: usize = 128;

/// Whether a run or a session can have that name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= NAME_LIMIT_CHARS
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

/// Why a variable cannot be set.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unsettable {
    /// No variable can be called so, or have that value.
    #[error("names have letters, digits and _, and values no NUL")]
    Malformed,
    /// It is one of errand's own.
    #[error("names that begin with ERRAND_ are errand's own")]
    Own,
}

/// Whether an agent may be given that variable.
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
