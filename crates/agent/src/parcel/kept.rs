//! Stored parcels: their list, and the removal of those without names.
//!
//! A parcel's modification time is the time at which it was built or renewed last. A parcel is
//! renewed before anything that names it is committed, unless it was a moment ago, and when it is
//! built again, under the builders' lock in shared mode; parcels are removed under that lock in
//! exclusive mode, and only if they were not renewed. Deliberately absent: knowledge of the names
//! of parcels.

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

/// Prefix of folders of uploads.
const UPLOAD_PREFIX: &str = ".upload-";

/// A stored parcel.
#[derive(Clone, Debug)]
pub struct KeptParcel {
    /// Digest of the parcel.
    pub digest: Digest,
    /// Time at which it was built or renewed last.
    pub touched_at: SystemTime,
}

/// Lists the stored parcels, in no order.
///
/// # Errors
///
/// [`Error::Io`].
pub fn kept(parcels_root: &Path) -> Result<Vec<KeptParcel>, Error> {
    let mut found = Vec::new();
    for entry in entries(parcels_root)? {
        let digest = format!("sha256:{}", entry.file_name().to_string_lossy()).parse();
        // Removed meanwhile, or no parcel.
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

/// Renews a parcel that is about to be named. Returns false if it does not exist.
///
/// In a folder that cannot be written, parcels cannot be removed either: the result is true.
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

/// Sets the modification time of a folder to now. Returns false if it does not exist.
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

/// Removes those of `unnamed` that were not renewed since `before`, unless a parcel is being built.
/// Returns the number of parcels and of bytes.
///
/// The caller determined after `before` that they have no names: a parcel is renewed before it gets
/// a new name.
///
/// # Errors
///
/// [`Error::Io`]; some parcels are removed then.
pub fn sweep(
    parcels_root: &Path,
    unnamed: &BTreeSet<Digest>,
    before: SystemTime,
) -> Result<(u64, u64), Error> {
    let (mut count, mut bytes) = (0, 0);
    let Some(_lock) = lock_alone(parcels_root)? else { return Ok((count, bytes)) };
    // No parcel is being built: unfinished ones come from killed builders.
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

/// Removes folders of unfinished uploads that were begun before that time. Returns the number of
/// bytes.
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

/// Returns the size of a parcel in bytes.
pub fn size(parcels_root: &Path, digest: &Digest) -> u64 {
    size_of(&path_of(parcels_root, digest))
}

/// Returns the bytes of all readable files below a folder.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { size_of(&entry.path()) } else { metadata.len() })
    };
    entries.filter_map(size).sum()
}
