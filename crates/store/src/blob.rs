//! Blobs: bytes under their digest, such as briefs, artifacts, checkpoints, and event data that is
//! too long for a row.
//!
//! A blob is written once and never changes. Its modification time is the time at which it was
//! stored or renewed last: [`Blobs::sweep`] removes no blob that is younger than its caller allows.
//! A blob is renewed before anything that names it is committed; renewals and removals exclude each
//! other by a lock, so that a renewed blob stays. Deliberately absent: knowledge of the names of
//! blobs.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use errand_model::{Digest, RunId, digest_of_brief_key};
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens};
use sha2::Digest as _;
use thiserror::Error;

use crate::private_file::private;
use crate::registry::{PRIVATE_FOLDER, RegistryError};
use crate::{SharedBlobs, files};

/// Buffer size for copying a stream.
const CHUNK_BYTES: usize = 64 * 1024;

/// Lock between renewals of blobs (shared) and removals (exclusive).
const LOCK: &str = ".lock";
/// Prefix of the names of unfinished blobs.
const UNFINISHED: &str = ".blob.";

/// A folder of blobs: `<first two hex digits>/<the other 62>`.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
    /// Blobs that all machines reach.
    shared: Option<Arc<dyn SharedBlobs>>,
}

impl Blobs {
    /// The blobs below `root`; folders are created when they are needed.
    pub const fn at(root: PathBuf) -> Self {
        Self { root, shared: None }
    }

    /// Makes the folder a copy of shared blobs: a blob is stored there first, and missing ones are
    /// fetched from there.
    #[must_use]
    pub fn copying(self, shared: Arc<dyn SharedBlobs>) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// Returns true if the folder is a copy of shared blobs.
    pub const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The path at which a blob of that digest lies, if it exists.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let (shard, rest) = digest.hex().split_at(2);
        self.root.join(shard).join(rest)
    }

    /// Stores `bytes` durably. Returns their digest. Bytes that exist already are not written
    /// again.
    ///
    /// # Errors
    ///
    /// [`BlobError::File`]; no new blob exists then.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        self.put_stream(bytes).map(|(digest, _)| digest)
    }

    /// Stores the brief of a new run as [`Blobs::put`], and, where blobs have a place of their own,
    /// also under its key ([`errand_model::brief_key`]). Returns its digest.
    ///
    /// # Errors
    ///
    /// As [`Blobs::put`].
    pub fn put_brief(&self, run_id: &RunId, bytes: &[u8]) -> Result<Digest, BlobError> {
        self.put_as(bytes, Some(run_id)).map(|(digest, _)| digest)
    }

    /// Returns the brief with that key, of any registry that keeps its blobs in the same place; `None`
    /// if there is none. The bytes are not checked.
    ///
    /// # Errors
    ///
    /// [`BlobError::Shared`]; [`BlobError::File`] for one that is longer than `limit_bytes`.
    pub fn brief(&self, key: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, BlobError> {
        let digest = digest_of_brief_key(key);
        if let Some(bytes) = digest.and_then(|digest| std::fs::read(self.path(&digest)).ok()) {
            return Ok(Some(bytes));
        }
        let Some(shared) = &self.shared else { return Ok(None) };
        let mut to = Bounded { bytes: Vec::new(), limit_bytes };
        Ok(shared.brief(key, &mut to)?.then_some(to.bytes))
    }

    /// Stores the content of a file, reading it once. Returns its digest and length in bytes.
    ///
    /// # Errors
    ///
    /// As [`Blobs::put`].
    pub fn put_file(&self, path: &Path) -> Result<(Digest, u64), BlobError> {
        let file = File::open(path).map_err(|source| file_error("read", path, source))?;
        self.put_stream(file)
    }

    /// Stores the bytes of a reader up to its end. Returns their digest and length in bytes.
    ///
    /// # Errors
    ///
    /// As [`Blobs::put`].
    pub fn put_stream(&self, from: impl Read) -> Result<(Digest, u64), BlobError> {
        self.put_as(from, None)
    }

    fn put_as(
        &self,
        from: impl Read,
        brief_of: Option<&RunId>,
    ) -> Result<(Digest, u64), BlobError> {
        make_folder(&self.root)?;
        let temporary = files::temporary_beside(&self.root.join("blob"));
        let kept = self.copy_in(from, &temporary, brief_of);
        if kept.is_err() {
            // The file may never have been created; the first error is the one to report.
            drop(std::fs::remove_file(&temporary));
        }
        kept
    }

    fn copy_in(
        &self,
        mut from: impl Read,
        temporary: &Path,
        brief_of: Option<&RunId>,
    ) -> Result<(Digest, u64), BlobError> {
        let failed = |source| file_error("write", temporary, source);
        let mut file =
            private().read(true).write(true).create_new(true).open(temporary).map_err(failed)?;
        let mut hasher = sha2::Sha256::new();
        let mut size_bytes = 0_u64;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let part = chunk.get(..read).unwrap_or_default();
            hasher.update(part);
            file.write_all(part).map_err(failed)?;
            size_bytes += u64::try_from(read).unwrap_or(0);
        }
        let digest = Digest::from_hash(&hasher.finalize().into());
        let is_here = self.touch(&digest)?;
        if let Some(shared) = &self.shared {
            // The shared store comes first: a blob here is also there. It may have been removed
            // there since.
            file.rewind().map_err(failed)?;
            match brief_of {
                Some(run_id) => shared.put_brief(run_id, &digest, &mut file)?,
                None => shared.put(&digest, &mut file)?,
            }
        }
        if is_here {
            std::fs::remove_file(temporary).map_err(failed)?;
            return Ok((digest, size_bytes));
        }
        file.sync_all().map_err(failed)?;
        self.settle(temporary, &digest)?;
        Ok((digest, size_bytes))
    }

    /// Moves a finished file to its path.
    fn settle(&self, temporary: &Path, digest: &Digest) -> Result<(), BlobError> {
        let path = self.path(digest);
        if let Some(shard) = path.parent().filter(|shard| !shard.is_dir()) {
            make_folder(shard)?;
            files::sync_folder_of(shard)?;
        }
        files::rename(temporary, &path)?;
        Ok(files::sync_folder_of(&path)?)
    }

    /// Copies a blob from the shared store. Returns false if it is not there either.
    fn fetch(&self, digest: &Digest) -> Result<bool, BlobError> {
        let Some(shared) = &self.shared else { return Ok(false) };
        make_folder(&self.root)?;
        let temporary = files::temporary_beside(&self.root.join("blob"));
        let fetched = self.copy_from(shared.as_ref(), digest, &temporary);
        if !matches!(fetched, Ok(true)) {
            drop(std::fs::remove_file(&temporary));
        }
        fetched
    }

    fn copy_from(
        &self,
        shared: &dyn SharedBlobs,
        digest: &Digest,
        temporary: &Path,
    ) -> Result<bool, BlobError> {
        let failed = |source| file_error("write", temporary, source);
        let file = private().write(true).create_new(true).open(temporary);
        let mut hashing = Hashing { file: file.map_err(failed)?, hasher: sha2::Sha256::new() };
        if !shared.get(digest, &mut hashing)? {
            return Ok(false);
        }
        if Digest::from_hash(&hashing.hasher.finalize().into()) != *digest {
            return Err(BlobError::Damaged { digest: digest.clone() });
        }
        hashing.file.sync_all().map_err(failed)?;
        self.settle(temporary, digest)?;
        Ok(true)
    }

    /// Opens a blob for reading. Returns it with its length in bytes. The bytes are not checked:
    /// see [`Blobs::get`].
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`], [`BlobError::File`].
    pub fn open(&self, digest: &Digest) -> Result<(File, u64), BlobError> {
        let path = self.path(digest);
        if self.shared.is_some() && !path.is_file() {
            self.fetch(digest)?;
        }
        let file = File::open(&path).map_err(|source| {
            if source.kind() == ErrorKind::NotFound {
                BlobError::Missing { digest: digest.clone() }
            } else {
                file_error("read", &path, source)
            }
        })?;
        let size_bytes = file.metadata().map_err(|source| file_error("read", &path, source))?.len();
        Ok((file, size_bytes))
    }

    /// Reads a whole blob and checks its digest.
    ///
    /// # Errors
    ///
    /// [`BlobError::Missing`], [`BlobError::Damaged`], [`BlobError::File`].
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let (mut file, size_bytes) = self.open(digest)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
        file.read_to_end(&mut bytes)
            .map_err(|source| file_error("read", &self.path(digest), source))?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(BlobError::Damaged { digest: digest.clone() })
        }
    }

    /// Renews blobs that are about to be named. Returns the missing ones.
    ///
    /// # Errors
    ///
    /// [`BlobError::File`], [`BlobError::Shared`].
    pub fn renew(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, BlobError> {
        let mut missing = BTreeSet::new();
        for digest in digests {
            if !self.touch(digest)? {
                missing.insert(digest.clone());
            }
        }
        let Some(shared) = &self.shared else { return Ok(missing) };
        let found = shared.touch(digests)?;
        let mut missing: BTreeSet<Digest> = digests.difference(&found).cloned().collect();
        // A copy of a blob that was removed there may be left here.
        for digest in std::mem::take(&mut missing) {
            match File::open(self.path(&digest)) {
                Ok(mut file) => shared.put(&digest, &mut file)?,
                Err(_) => {
                    missing.insert(digest);
                }
            }
        }
        Ok(missing)
    }

    /// Sets a blob's modification time to now. Returns false if it does not exist.
    fn touch(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        if !path.is_file() {
            return Ok(false);
        }
        let _lock = self.lock(FlockOperation::LockShared)?;
        let untouched = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: untouched, last_modification: now };
        let touched = File::open(&path).and_then(|file| Ok(futimens(&file, &times)?));
        match touched {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(file_error("renew", &path, source)),
        }
    }

    /// Takes the lock, which is held until the file is dropped.
    fn lock(&self, how: FlockOperation) -> Result<File, BlobError> {
        let path = self.root.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(|source| file_error("open", &path, source))?;
        flock(&file, how).map_err(|error| file_error("lock", &path, error.into()))?;
        Ok(file)
    }

    /// Lists the blobs whose digests begin with these two digits.
    ///
    /// # Errors
    ///
    /// [`BlobError::File`].
    pub fn in_shard(&self, shard: &str) -> Result<Vec<KeptBlob>, BlobError> {
        let folder = self.root.join(shard);
        let failed = |source| file_error("read", &folder, source);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let digest = format!("sha256:{shard}{}", name.to_string_lossy()).parse();
            // The file was removed meanwhile, or is no blob.
            let (Ok(digest), Ok(metadata)) = (digest, entry.metadata()) else { continue };
            let touched_at = metadata.modified().map_err(failed)?;
            kept.push(KeptBlob { digest, size_bytes: metadata.len(), touched_at });
        }
        Ok(kept)
    }

    /// Removes those of `unnamed` that were not renewed since `before`. Returns the number of blobs
    /// and of bytes. Shared blobs are left alone.
    ///
    /// The caller determined after `before` that they have no names: a blob is renewed before it
    /// gets a new name.
    ///
    /// # Errors
    ///
    /// [`BlobError::File`]; some blobs are removed then.
    pub fn sweep(
        &self,
        unnamed: &BTreeSet<Digest>,
        before: SystemTime,
    ) -> Result<(u64, u64), BlobError> {
        let (mut count, mut bytes) = (0, 0);
        if unnamed.is_empty() {
            return Ok((count, bytes));
        }
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        for digest in unnamed {
            let path = self.path(digest);
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            let touched_at =
                metadata.modified().map_err(|source| file_error("look at", &path, source))?;
            if touched_at >= before {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(file_error("remove", &path, source)),
            }
            count += 1;
            bytes += metadata.len();
        }
        Ok((count, bytes))
    }

    /// Removes unfinished files of dead writers that are older than `before`. Returns the number of
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`BlobError::File`].
    pub fn sweep_unfinished(&self, before: SystemTime) -> Result<u64, BlobError> {
        let failed = |source| file_error("read", &self.root, source);
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(source) => return Err(failed(source)),
        };
        let mut bytes = 0;
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let is_old = metadata.modified().is_ok_and(|at| at < before);
            if is_old && std::fs::remove_file(entry.path()).is_ok() {
                bytes += metadata.len();
            }
        }
        Ok(bytes)
    }
}

/// A blob that is kept in the folder.
#[derive(Clone, Debug)]
pub struct KeptBlob {
    /// Digest of the blob.
    pub digest: Digest,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time at which it was stored or renewed last.
    pub touched_at: SystemTime,
}

/// Writer to a file that hashes the bytes.
struct Hashing {
    file: File,
    hasher: sha2::Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Writer to memory that refuses more bytes than its limit.
struct Bounded {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit_bytes {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn make_folder(path: &Path) -> Result<(), BlobError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path);
    made.map_err(|source| file_error("make the folder", path, source))
}

fn file_error(doing: &'static str, path: &Path, source: std::io::Error) -> BlobError {
    BlobError::File(RegistryError::File { doing, path: path.to_path_buf(), source })
}

/// Error: bytes could not be stored or found.
#[derive(Debug, Error)]
pub enum BlobError {
    /// No blob has that digest.
    #[error("no blob {digest}")]
    Missing {
        /// Digest of the blob.
        digest: Digest,
    },
    /// The bytes do not have the digest of their name.
    #[error("blob {digest} is damaged: its content has another digest")]
    Damaged {
        /// Digest of the blob.
        digest: Digest,
    },
    /// The operating system reported an error.
    #[error(transparent)]
    File(#[from] RegistryError),
    /// The shared store, or the place of the blobs, cannot be reached.
    #[error("blobs outside of the registry cannot be reached")]
    Shared(#[source] Box<crate::Error>),
}

impl From<crate::Error> for BlobError {
    fn from(error: crate::Error) -> Self {
        Self::Shared(Box::new(error))
    }
}
