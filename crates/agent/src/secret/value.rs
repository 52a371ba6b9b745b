//! Value of a secret, which is never printed.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use age::secrecy::{ExposeSecret as _, SecretSlice};
use thiserror::Error;

/// Length of the shortest value: shorter ones cannot be masked, since they would occur all over an
/// ordinary log.
pub const MIN_VALUE_BYTES: usize = 4;
/// Length of the longest value: longer ones do not fit the environment of a process.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A value of [`MIN_VALUE_BYTES`] to [`MAX_VALUE_BYTES`] bytes without NUL. Erased from memory when
/// dropped.
pub struct SecretValue(SecretSlice<u8>);

impl SecretValue {
    /// Creates a value of exactly these bytes.
    ///
    /// # Errors
    ///
    /// [`MalformedSecret`], which does not contain the value.
    pub fn new(bytes: Vec<u8>) -> Result<Self, MalformedSecret> {
        if bytes.len() < MIN_VALUE_BYTES {
            Err(MalformedSecret::TooShort)
        } else if bytes.len() > MAX_VALUE_BYTES {
            Err(MalformedSecret::TooLong)
        } else if bytes.contains(&0) {
            Err(MalformedSecret::Nul)
        } else {
            Ok(Self(SecretSlice::from(bytes)))
        }
    }

    /// Creates a value from a line, without the one line end that `echo` appends.
    ///
    /// # Errors
    ///
    /// [`MalformedSecret`], which does not contain the value.
    pub fn from_line(mut bytes: Vec<u8>) -> Result<Self, MalformedSecret> {
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Self::new(bytes)
    }

    pub(super) fn from_os(text: OsString) -> Result<Self, MalformedSecret> {
        Self::new(text.into_vec())
    }

    /// Returns the value itself: only for redaction and for the agent's environment.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Returns the value itself, for the environment.
    pub fn expose_os(&self) -> &OsStr {
        OsStr::from_bytes(self.expose())
    }
}

impl Clone for SecretValue {
    fn clone(&self) -> Self {
        Self(SecretSlice::from(self.expose().to_vec()))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(hidden)")
    }
}

/// A resolved secret.
#[derive(Clone, Debug)]
pub struct FoundSecret {
    /// Name.
    pub name: String,
    /// Value.
    pub value: SecretValue,
}

/// Error: bytes cannot be the value of a secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MalformedSecret {
    /// The value has fewer bytes than [`MIN_VALUE_BYTES`].
    #[error(
        "it has fewer than {MIN_VALUE_BYTES} bytes: so short a value cannot be masked in logs \
         without masking ordinary text"
    )]
    TooShort,
    /// The value has more bytes than [`MAX_VALUE_BYTES`].
    #[error("it has more than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// The value has a NUL, which the environment cannot hold.
    #[error("it holds a NUL byte, which no environment variable can")]
    Nul,
}
