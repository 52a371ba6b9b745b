//! Conversions between columns and values.

use errand_model::{Digest, Hash, Head, RunId, Timestamp};
use tokio_postgres::Row;

use super::failure::Failure;
use crate::{Error, Holder, Lease};

/// Converts a count or number for PostgreSQL. Real ones never reach the bound.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a stored count or number; negative ones are never written.
pub(super) fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

/// Converts an attempt's number for PostgreSQL.
pub(super) fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn damaged(run_id: &str, reason: impl Into<String>) -> Error {
    Error::Damaged { run_id: run_id.to_owned(), reason: reason.into() }
}

/// Parses a stored run id.
///
/// # Errors
///
/// [`Error::Damaged`] if it is invalid.
pub(super) fn run_id(text: String) -> Result<RunId, Failure> {
    RunId::try_from(text).map_err(|error| damaged(&error.text, "its id is none").into())
}

/// Converts a journal's end from its two columns.
pub(super) fn head(seq: i64, hash: &[u8]) -> Option<Head> {
    let hash: [u8; 32] = hash.try_into().ok()?;
    Some(Head { seq: u64::try_from(seq).ok()?, hash: Hash::from_bytes(hash) })
}

/// Returns the 32 bytes of a digest, and the first 8 as the number in the index.
pub(super) fn fingerprint(digest: &Digest) -> ([u8; 32], i64) {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digest.hex().as_bytes().chunks_exact(2)) {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit.wrapping_sub(b'a').wrapping_add(10),
        };
        *byte = match pair {
            [high, low] => (nibble(*high) << 4) | nibble(*low),
            _ => 0,
        };
    }
    let mut key = [0; 8];
    key.copy_from_slice(&bytes[..8]);
    (bytes, i64::from_be_bytes(key))
}

/// Reads a lease from the columns `epoch`, `holder` and `expires_at_ms`, which begin at `first`.
pub(super) fn lease(row: &Row, first: usize, run_id: &RunId) -> Result<Option<Lease>, Failure> {
    let Some(epoch) = row.try_get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    let holder: &str = row.try_get(first + 1)?;
    let holder: Holder = serde_json::from_str(holder)
        .map_err(|error| damaged(run_id.as_str(), format!("the holder of its lease: {error}")))?;
    let expires_at = row.try_get::<_, Option<i64>>(first + 2)?.map(Timestamp::from_millis);
    Ok(Some(Lease { run_id: run_id.clone(), epoch: number(epoch), holder, expires_at }))
}

/// Serializes one of our own types; all their map keys are strings, so that this cannot fail.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Refused(damaged("", format!("cannot be written: {error}"))))
}
