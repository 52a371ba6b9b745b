//! Bytes that all machines of a fleet reach: blobs by their digest, and the logs of runs.
//!
//! A store on one machine has none: it uses the folders of the registry. All methods block their
//! caller; callers read and write files, which blocks anyway.

use std::collections::BTreeSet;
use std::io::{Read, Seek, Write};
use std::time::Duration;

use errand_model::{Digest, RunId, Timestamp, digest_of_brief_key};

use crate::Error;

/// Blobs that a [`crate::Store`] shares with other machines.
pub trait SharedBlobs: Send + Sync + std::fmt::Debug {
    /// Stores the bytes of `from`, which have that digest, durably. An existing blob is renewed and
    /// not written again.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Postgres`], [`Error::Full`]; [`Error::File`] if `from`
    /// cannot be read. A part of the bytes may be stored then, but not a whole blob.
    fn put(&self, digest: &Digest, from: &mut dyn ReadSeek) -> Result<(), Error>;

    /// Stores the brief of a run as a blob, and, where blobs have keys that other programs read, also
    /// under the key of the brief ([`errand_model::brief_key`]). The run is new: its id was never
    /// used.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn put_brief(
        &self,
        run_id: &RunId,
        digest: &Digest,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Error> {
        let _: &RunId = run_id;
        self.put(digest, from)
    }

    /// Writes the brief with that key to `to`, which may be one of a run of another registry that
    /// keeps its blobs in the same place. Returns false if there is none. The bytes are not checked.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn brief(&self, key: &str, to: &mut dyn Write) -> Result<bool, Error> {
        match digest_of_brief_key(key) {
            Some(digest) => self.get(&digest, to),
            None => Ok(false),
        }
    }

    /// Writes the blob to `to`. Returns false if there is none. The bytes are not checked against
    /// the digest.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn get(&self, digest: &Digest, to: &mut dyn Write) -> Result<bool, Error>;

    /// Returns true if the whole blob is there.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn contains(&self, digest: &Digest) -> Result<bool, Error>;

    /// Renews blobs that are about to be named by an event or a document. Returns those that are
    /// there.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn touch(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error>;

    /// Lists blobs in the order of their digests, those after `after`, at most `limit`; incomplete
    /// ones included.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn list(&self, after: Option<&Digest>, limit: u32) -> Result<Vec<SharedBlob>, Error>;

    /// Removes those of `digests` that were neither stored nor renewed for so long, and remains of
    /// incomplete blobs. Returns the number of blobs and of bytes.
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
    /// Digest of the blob.
    pub digest: Digest,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time since it was stored or renewed last.
    pub untouched_for: Duration,
}

/// A readable and seekable source: a file, or bytes in memory.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// A part of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// Time of writing.
    pub at: Timestamp,
    /// Offset in the run's log at which the part begins, in bytes.
    pub offset: u64,
    /// Bytes of the part; at most [`LOG_PART_BYTES`].
    pub bytes: Vec<u8>,
}

/// The longest part of a log: bounds a row, and what a reader holds at once.
pub const LOG_PART_BYTES: usize = 256 * 1024;

/// Bytes that are kept of one run's log: the newest. Older ones are removed.
pub const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// Logs of runs that a [`crate::Store`] shares with other machines.
pub trait SharedLogs: Send + Sync + std::fmt::Debug {
    /// Adds a part. An existing part (same run and offset) stays as it is.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn append(&self, run_id: &RunId, part: LogPart) -> Result<(), Error>;

    /// Lists the parts that have bytes from `offset` on, in order, at most `limit`. The first may
    /// begin before `offset`.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn read(&self, run_id: &RunId, offset: u64, limit: u32) -> Result<Vec<LogPart>, Error>;

    /// Returns the end of the log, in bytes; 0 if there is none.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn end(&self, run_id: &RunId) -> Result<u64, Error>;

    /// Removes the logs of removed runs to which nothing was added since `before`: their writers
    /// did not know of the removal. Returns the number of bytes.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn remove_orphans(&self, before: Timestamp) -> Result<u64, Error>;

    /// Returns the size of all logs in bytes.
    ///
    /// # Errors
    ///
    /// As [`SharedBlobs::put`].
    fn size_bytes(&self) -> Result<u64, Error>;
}
