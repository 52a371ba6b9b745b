//! Parcels that are kept: which there are, and removing those that nothing names.
//!
//! A parcel's time of modification is when it was built, or named, last. Who builds one, finds it
//! built, or commits what names it, renews it first, under the builders' lock in shared mode; parcels
//! are removed under that lock alone, and only those that were not renewed. Deliberately absent:
//! knowing what names a parcel.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use errand_model::Digest;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use super::error::Error;
use super::publish::{clear_unfinished, lock, lock_alone};
use super::stored::{path_of, remove};

/// Folders of uploads begin so.
const UPLOAD_PREFIX: &str = ".upload-";

/// A parcel that is kept here.
#[derive(Clone, Debug)]
pub struct KeptParcel {
    /// Its digest.
    pub digest: Digest,
    /// When it was built or renewed last.
    pub touched_at: SystemTime,
}

/// Lists the parcels that are kept, in no order.
///
/// # Errors
///
/// [`Error::Io`].
pub fn kept(parcels_root: &Path) -> Result<Vec<KeptParcel>, Error> {
    let mut found = Vec::new();
    for entry in entries(parcels_root)? {
        let digest = format!("sha256:{}", entry.file_name().to_string_lossy()).parse();
        // Removed meanwhile, or none.
        let (Ok(digest), Ok(metadata)) = (digest, entry.metadata()) else { continue };
        let touched_at = metadata.modified().map_err(Error::io("look at", &entry.path()))?;
        found.push(KeptParcel { digest, touched_at });
    }
    Ok(found)
}

fn entries(parcels_root: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let read = fs::read_dir(parcels_root).and_then(Iterator::collect);
    match read {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", parcels_root)(error)),
    }
}

/// Renews a parcel that something is about to name. `false`: it is not here.
///
/// Where the folder cannot be written, nobody can remove parcels either: the parcel is here all the
/// same.
///
/// # Errors
///
/// [`Error::Io`].
pub fn renew(parcels_root: &Path, digest: &Digest) -> Result<bool, Error> {
    let path = path_of(parcels_root, digest);
    if !path.is_dir() {
        return Ok(false);
    }
    let renewed = lock(parcels_root).and_then(|_lock| touch(&path));
    match renewed {
        Err(Error::Io { source, .. }) if cannot_write(&source) => Ok(true),
        other => other,
    }
}

fn cannot_write(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied | ErrorKind::StorageFull
    )
}

/// Sets the time of a folder to now. `false`: it is not here.
fn touch(path: &Path) -> Result<bool, Error> {
    let untouched = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: untouched, last_modification: now };
    match fs::File::open(path) {
        Ok(folder) => futimens(&folder, &times)
            .map(|()| true)
            .map_err(|error| Error::io("renew", path)(error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("renew", path)(error)),
    }
}

/// Removes those of `unnamed` that were not renewed since `before`, unless somebody builds a parcel
/// at the moment. Returns how many, and how many bytes.
///
/// The caller found out after `before` that nothing names them: what is to be named later is
/// renewed first.
///
/// # Errors
///
/// [`Error::Io`]; some are removed then.
pub fn sweep(
    parcels_root: &Path,
    unnamed: &BTreeSet<Digest>,
    before: SystemTime,
) -> Result<(u64, u64), Error> {
    let (mut count, mut bytes) = (0, 0);
    let Some(_lock) = lock_alone(parcels_root)? else { return Ok((count, bytes)) };
    // Nobody builds: what is unfinished was left by builders that were killed.
    clear_unfinished(parcels_root);
    for digest in unnamed {
        let path = path_of(parcels_root, digest);
        let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
        if !modified.is_ok_and(|at| at < before) {
            continue;
        }
        let size_bytes = size_of(&path);
        remove(parcels_root, digest)?;
        count += 1;
        bytes += size_bytes;
    }
    Ok((count, bytes))
}

/// Removes folders of uploads that were begun before that time and never ended.
///
/// # Errors
///
/// [`Error::Io`].
pub fn sweep_uploads(parcels_root: &Path, before: SystemTime) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in entries(parcels_root)? {
        let is_upload = entry.file_name().to_string_lossy().starts_with(UPLOAD_PREFIX);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if is_upload && modified.is_ok_and(|at| at < before) {
            let size_bytes = size_of(&entry.path());
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => bytes += size_bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", &entry.path())(error)),
            }
        }
    }
    Ok(bytes)
}

/// The size of a parcel in bytes.
pub fn size(parcels_root: &Path, digest: &Digest) -> u64 {
    size_of(&path_of(parcels_root, digest))
}

/// The bytes of all files below a folder, as far as they can be looked at.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { size_of(&entry.path()) } else { metadata.len() })
    };
    entries.filter_map(size).sum()
}
