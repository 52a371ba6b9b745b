//! The value of a secret, which shows itself to nobody.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use age::secrecy::{ExposeSecret as _, SecretSlice};
use thiserror::Error;

/// Shorter values cannot be masked: they would be found all over an ordinary log.
pub const MIN_VALUE_BYTES: usize = 4;
/// Longer values do not fit the environment of a process together with everything else.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A value of [`MIN_VALUE_BYTES`] to [`MAX_VALUE_BYTES`] bytes without NUL. Wiped from memory when
/// dropped.
pub struct Value(SecretSlice<u8>);

impl Value {
    /// Takes a value exactly as it is.
    ///
    /// # Errors
    ///
    /// [`Malformed`], which does not tell the value.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Malformed> {
        if bytes.len() < MIN_VALUE_BYTES {
            Err(Malformed::TooShort)
        } else if bytes.len() > MAX_VALUE_BYTES {
            Err(Malformed::TooLong)
        } else if bytes.contains(&0) {
            Err(Malformed::Nul)
        } else {
            Ok(Self(SecretSlice::from(bytes)))
        }
    }

    /// Takes a value as a line: without the one line end that `echo` puts after it.
    ///
    /// # Errors
    ///
    /// [`Malformed`], which does not tell the value.
    pub fn from_line(mut bytes: Vec<u8>) -> Result<Self, Malformed> {
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Self::new(bytes)
    }

    pub(super) fn from_os(text: OsString) -> Result<Self, Malformed> {
        Self::new(text.into_vec())
    }

    /// The value itself: only for what masks it and for the agent's environment.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The value itself, as the environment takes it.
    pub fn expose_os(&self) -> &OsStr {
        OsStr::from_bytes(self.expose())
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self(SecretSlice::from(self.expose().to_vec()))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(hidden)")
    }
}

/// A secret that was found.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub value: Value,
}

/// Bytes that cannot be the value of a secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer than [`MIN_VALUE_BYTES`].
    #[error(
        "it has fewer than {MIN_VALUE_BYTES} bytes: so short a value cannot be masked in logs \
         without masking ordinary text"
    )]
    TooShort,
    /// More than [`MAX_VALUE_BYTES`].
    #[error("it has more than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// It holds a NUL, which the environment cannot.
    #[error("it holds a NUL byte, which no environment variable can")]
    Nul,
}
