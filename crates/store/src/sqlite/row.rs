//! Conversions between columns and values.

use errand_model::{Digest, Hash, Head, RunId, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::failure::Failure;
use crate::fence::FenceState;
use crate::{Error, Holder, Lease};

/// Converts a count or number for SQLite. Real ones never reach the bound.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a stored count or number; negative ones are never written.
pub(super) fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

pub(super) fn damaged(run_id: &str, reason: impl Into<String>) -> Error {
    Error::Damaged { run_id: run_id.to_owned(), reason: reason.into() }
}

/// Converts a journal's end from its two columns.
pub(super) fn head(seq: i64, hash: ValueRef<'_>) -> Option<Head> {
    let hash: [u8; 32] = hash.as_blob().ok()?.try_into().ok()?;
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

/// Present state of a run, read before a write.
#[derive(Debug)]
pub(super) struct CurrentRow {
    /// Number of the run in this database.
    pub(super) run: i64,
    /// Name of the status.
    pub(super) status: String,
    pub(super) is_over: bool,
    /// The last lease's number.
    pub(super) epoch: u64,
    pub(super) head: Head,
    /// The number of the lease in force.
    pub(super) leased: Option<u64>,
    /// Number of events that the stored fold covers; 0: none is stored.
    pub(super) state_seq: u64,
    /// Number of unanswered requests.
    pub(super) open_requests: u32,
}

impl CurrentRow {
    /// Reads the state of a run.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`], [`Error::Damaged`].
    pub(super) fn of(connection: &Connection, run_id: &RunId) -> Result<Self, Failure> {
        const SQL: &str = "SELECT r.run, r.status, r.ended_at_ms IS NOT NULL, r.epoch, r.head_seq, \
             r.head_hash, l.epoch, (SELECT seq FROM states WHERE run = r.run), \
             (SELECT count(*) FROM requests WHERE run = r.run) \
             FROM runs r LEFT JOIN leases l ON l.run = r.run WHERE r.run_id = ?1";
        let mut statement = connection.prepare_cached(SQL)?;
        let found = statement
            .query_row([run_id.as_str()], |row| {
                let Some(head) = head(row.get(4)?, row.get_ref(5)?) else { return Ok(None) };
                Ok(Some(Self {
                    run: row.get(0)?,
                    status: row.get(1)?,
                    is_over: row.get(2)?,
                    epoch: number(row.get(3)?),
                    head,
                    leased: row.get::<_, Option<i64>>(6)?.map(number),
                    state_seq: row.get::<_, Option<i64>>(7)?.map_or(0, number),
                    open_requests: row.get(8)?,
                }))
            })
            .optional()?;
        match found {
            None => Err(Error::NoRun { run_id: run_id.clone() }.into()),
            Some(None) => Err(damaged(run_id.as_str(), "its journal's end cannot be read").into()),
            Some(Some(current)) => Ok(current),
        }
    }

    /// Returns the state for the checks of `fence.rs`.
    pub(super) const fn standing(&self) -> FenceState {
        let Self { epoch, leased, is_over, head, .. } = *self;
        FenceState { epoch, leased, is_over, head }
    }
}

/// Reads a lease from the columns `epoch`, `holder` and `expires_at_ms`, which begin at `first`.
pub(super) fn lease(row: &Row<'_>, first: usize, run_id: &RunId) -> Result<Option<Lease>, Failure> {
    let Some(epoch) = row.get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    let holder: String = row.get(first + 1)?;
    let holder: Holder = serde_json::from_str(&holder)
        .map_err(|error| damaged(run_id.as_str(), format!("the holder of its lease: {error}")))?;
    let expires_at = row.get::<_, Option<i64>>(first + 2)?.map(Timestamp::from_millis);
    Ok(Some(Lease { run_id: run_id.clone(), epoch: number(epoch), holder, expires_at }))
}

/// Serializes one of our own types; all their map keys are strings, so that this cannot fail.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Refused(damaged("", format!("cannot be written: {error}"))))
}
