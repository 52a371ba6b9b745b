//! Names of things: runs, sessions, digests.
//!
//! Deliberately absent: a source of randomness. The caller brings the bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Timestamp;

/// Crockford's base 32, lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TIME_CHARS: usize = 10;
const RANDOM_CHARS: usize = 10;

/// The name of one run: 20 characters of lower-case base 32.
///
/// Ten of time (so that ids sort by creation), ten of randomness (50 bits, so that thousands made
/// in one millisecond do not collide; the registry refuses a second run of one id all the same).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Characters in every id.
    pub const LEN: usize = TIME_CHARS + RANDOM_CHARS;

    /// The id for a run created at `now`, with `random` from the caller's source of randomness.
    pub fn new(now: Timestamp, random: u64) -> Self {
        let mut text = String::with_capacity(Self::LEN);
        push_base32(&mut text, u64::try_from(now.as_millis()).unwrap_or(0), TIME_CHARS);
        push_base32(&mut text, random, RANDOM_CHARS);
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Time of the run's creation, by the clock of the process that admitted it.
    pub fn created_at(&self) -> Timestamp {
        let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte).unwrap_or(0);
        let time = self.0.bytes().take(TIME_CHARS);
        let millis = time
            .fold(0_i64, |millis, byte| (millis << 5) | i64::try_from(digit(byte)).unwrap_or(0));
        Timestamp::from_millis(millis)
    }
}

/// Appends the low `chars * 5` bits of `value`, highest first.
fn push_base32(text: &mut String, value: u64, chars: usize) {
    for position in (0..chars).rev() {
        let digit = usize::try_from((value >> (position * 5)) & 31).unwrap_or(0);
        text.push(char::from(ALPHABET[digit]));
    }
}

impl FromStr for RunId {
    type Err = MalformedRunId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for RunId {
    type Error = MalformedRunId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() == Self::LEN && text.bytes().all(|byte| ALPHABET.contains(&byte)) {
            Ok(Self(text))
        } else {
            Err(MalformedRunId { text })
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the id of a run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a run id (20 characters of 0-9 and a-z without i, l, o, u)")]
pub struct MalformedRunId {
    /// Text as given.
    pub text: String,
}

/// The sha-256 of some bytes, written `sha256:<64 hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    const PREFIX: &'static str = "sha256:";

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_hash(&sha2::Sha256::digest(bytes).into())
    }

    /// The digest whose hash was computed elsewhere, in a stream for example.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(format!("{}{}", Self::PREFIX, hex(hash)))
    }

    /// The 64 hex digits, without the prefix: what names a file.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }

    /// The digest as text, with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hex digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

/// Appends the lower-case hex digits of `bytes`.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

impl TryFrom<String> for Digest {
    type Error = MalformedDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digest = text.strip_prefix(Self::PREFIX).is_some_and(|digits| {
            digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if is_digest { Ok(Self(text)) } else { Err(MalformedDigest { text }) }
    }
}

impl FromStr for Digest {
    type Err = MalformedDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a sha-256 digest.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a digest (sha256: and 64 lower-case hex digits)")]
pub struct MalformedDigest {
    /// Text as given.
    pub text: String,
}
