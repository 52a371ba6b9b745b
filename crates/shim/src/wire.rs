//! Fields of a message: bytes with their length before them.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Error: bytes are no message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message cannot be decoded")
    }
}

impl std::error::Error for Malformed {}

/// Writer of fields.
#[derive(Debug, Default)]
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn words(&mut self, words: &[OsString]) {
        self.number(u64::try_from(words.len()).unwrap_or(u64::MAX));
        for word in words {
            self.bytes(word.as_bytes());
        }
    }
}

/// Reader of fields.
#[derive(Debug)]
pub(crate) struct Decoder<'a>(pub(crate) &'a [u8]);

impl Decoder<'_> {
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    pub(crate) fn word(&mut self) -> Result<OsString, Malformed> {
        self.bytes().map(OsString::from_vec)
    }

    pub(crate) fn words(&mut self) -> Result<Vec<OsString>, Malformed> {
        let count = self.number()?;
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(self.word()?);
        }
        Ok(words)
    }
}
