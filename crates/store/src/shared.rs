//! Bytes that all machines of a fleet reach: blobs by their digest, and the logs of runs.
//!
//! A store that is on one machine has none: there the folders of the registry do. Everything here
//! blocks its caller, since those who read and write files do so anyway.

use std::io::{Read, Seek, Write};

use errand_model::{Digest, RunId, Timestamp};

use crate::Error;

/// What a [`crate::Store`] keeps of blobs for other machines.
pub trait SharedBlobs: Send + Sync + std::fmt::Debug {
    /// Keeps what `from` gives, durably: its bytes have that digest. What is there already is not
    /// written again.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Postgres`], [`Error::Full`]; [`Error::File`] if `from` cannot
    /// be read. A part of it may be there then, but not the blob.
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error>;

    /// Writes the blob to `to`, and says whether it is there. What comes out is not checked.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error>;

    /// Whether the whole blob is there.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn contains(&self, digest: &Digest) -> Result<bool, Error>;

    /// Forgets a blob; one that is not there is forgotten already.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn remove(&self, digest: &Digest) -> Result<(), Error>;
}

/// What can be read from any place: a file, or bytes in memory.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// A part of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Where in the run's log it begins, in bytes.
    pub offset: u64,
    /// What was written; at most [`LOG_PART_BYTES`].
    pub bytes: Vec<u8>,
}

/// The longest part of a log: bounds a row, and what a reader holds at once.
pub const LOG_PART_BYTES: usize = 256 * 1024;

/// What is kept of one run's log: its newest bytes. Older ones are forgotten.
pub const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// What a [`crate::Store`] keeps of runs' logs for other machines.
pub trait SharedLogs: Send + Sync + std::fmt::Debug {
    /// Adds a part. One that is there already (same run and offset) stays as it is.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn append(&self, run_id: &RunId, part: LogPart) -> Result<(), Error>;

    /// The parts that have bytes from `offset` on, in order, at most `limit` of them. The first may
    /// begin earlier.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn read(&self, run_id: &RunId, offset: u64, limit: u32) -> Result<Vec<LogPart>, Error>;

    /// Where the log ends, in bytes; 0 if there is none.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn end(&self, run_id: &RunId) -> Result<u64, Error>;
}
