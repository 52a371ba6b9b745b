//! Bytes that all machines of a fleet reach: blobs by their digest, and the logs of runs.
//!
//! A store that is on one machine has none: there the folders of the registry do. Everything here
//! blocks its caller, since those who read and write files do so anyway.

use std::collections::BTreeSet;
use std::io::{Read, Seek, Write};
use std::time::Duration;

use errand_model::{Digest, RunId, Timestamp};

use crate::Error;

/// What a [`crate::Store`] keeps of blobs for other machines.
pub trait SharedBlobs: Send + Sync + std::fmt::Debug {
    /// Keeps what `from` gives, durably: its bytes have that digest. What is there already is
    /// renewed and not written again.
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

    /// Renews blobs that something is about to name. Returns those that are there.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error>;

    /// Blobs in the order of their digests, those after `after`, at most `limit`; also such as are
    /// not there as a whole.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn list(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<SharedBlob>, Error>;

    /// Removes those of `digests` that were neither put nor renewed for so long, and what is left of
    /// such as are not there as a whole. Returns how many, and how many bytes.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn remove(
        &self,
        digests: &BTreeSet<Digest>,
        untouched_for: Duration,
    ) -> Result<(u64, u64), Error>;
}

/// A blob that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// How long ago it was put or renewed last.
    pub untouched_for: Duration,
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

    /// Removes the logs of runs that are no more and to which nothing was added since `before`: who
    /// wrote them had not heard of the removal. Returns how many bytes.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn remove_orphans(&self, before: Timestamp) -> Result<u64, Error>;

    /// How many bytes all logs have.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn size_bytes(&self) -> Result<u64, Error>;
}
