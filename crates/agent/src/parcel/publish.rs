//! Atomic creation of a parcel.
//!
//! A parcel is built beside its final path and renamed. A process that loses a race uses the
//! winner's parcel. The next builder removes what a dead one left behind: builders hold a lock in
//! shared mode, so that a holder in exclusive mode knows that no parcel is being built.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use errand_model::hex;
use rustix::fs::{FlockOperation, flock, syncfs};

use super::error::Error;
use super::manifest::{Content, ParcelFile};
use super::pack::{CHUNK_BYTES, Packed, open_source, read_through};
use super::{DEFINITION, FILES, MANIFEST};

/// Prefix of unfinished parcels.
const UNFINISHED_PREFIX: &str = ".tmp-";
const LOCK: &str = ".lock";

/// Mode of folders: a parcel may hold files that are private to its user.
const FOLDER: u32 = 0o700;
/// Mode of files, which are read-only.
pub(super) const READABLE: u32 = 0o400;
/// Mode of programs.
pub(super) const EXECUTABLE: u32 = 0o500;

/// Number of files above which one sync of the whole file system is cheaper than one per file.
const SYNC_EACH_LIMIT: usize = 16;

/// Creates `packed` at `path`, which lies directly in `parcels_root`.
pub(super) fn publish(packed: &Packed, parcels_root: &Path, path: &Path) -> Result<(), Error> {
    make_folder(parcels_root).map_err(Error::io("create", parcels_root))?;
    let _lock = lock(parcels_root)?;
    let unfinished = parcels_root.join(unfinished_name().map_err(Error::io("name", path))?);
    let built = fill(packed, &unfinished).and_then(|()| put_in_place(&unfinished, path));
    if built.is_err() {
        // The first error is the one to report; the next builder removes what stays behind.
        let _ignored = fs::remove_dir_all(&unfinished);
    }
    built?;
    sync_folder(parcels_root)
}

/// Creates a folder and missing ones above it, for their owner alone.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(FOLDER).recursive(true).create(path)
}

/// Returns a unique name, which is cleaned up if it is left behind.
pub(super) fn unfinished_name() -> io::Result<String> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{UNFINISHED_PREFIX}{}", hex(&random)))
}

/// Takes the lock in shared mode, which is held until the file is dropped.
pub(super) fn lock(parcels_root: &Path) -> Result<File, Error> {
    let path = parcels_root.join(LOCK);
    let file = open_lock(&path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        clear_unfinished(parcels_root);
    }
    flock(&file, FlockOperation::LockShared)
        .map_err(|error| Error::io("lock", &path)(error.into()))?;
    Ok(file)
}

/// Takes the lock in exclusive mode, which is held until the file is dropped; `None` if a parcel is
/// being built or renewed.
pub(super) fn lock_alone(parcels_root: &Path) -> Result<Option<File>, Error> {
    let path = parcels_root.join(LOCK);
    let file = open_lock(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(Error::io("lock", &path)(error.into())),
    }
}

fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).map_err(Error::io("open", path))
}

/// Removes unfinished parcels of dead builders; no other parcel may be built meanwhile.
pub(super) fn clear_unfinished(parcels_root: &Path) {
    let Ok(entries) = fs::read_dir(parcels_root) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            // The folder only takes space: the next builder tries again.
            let _ignored = fs::remove_dir_all(entry.path());
        }
    }
}

fn fill(packed: &Packed, unfinished: &Path) -> Result<(), Error> {
    let files = unfinished.join(FILES);
    make_folder(&files).map_err(Error::io("create", &files))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let sync_each = packed.manifest.files.len() <= SYNC_EACH_LIMIT;
    for file in &packed.manifest.files {
        copy(packed, file, &files, &mut chunk, sync_each)?;
    }
    write(&unfinished.join(DEFINITION), &packed.definition_json)?;
    write(&unfinished.join(MANIFEST), &packed.manifest_json)?;
    if sync_each {
        sync_tree(unfinished)
    } else {
        let folder = File::open(unfinished).map_err(Error::io("open", unfinished))?;
        syncfs(&folder).map_err(|error| Error::io("sync", unfinished)(error.into()))
    }
}

fn copy(
    packed: &Packed,
    file: &ParcelFile,
    files: &Path,
    chunk: &mut [u8],
    sync: bool,
) -> Result<(), Error> {
    let to = files.join(&file.path);
    if let Some(folder) = to.parent() {
        make_folder(folder).map_err(Error::io("create", folder))?;
    }
    match &file.content {
        Content::Link { target } => {
            std::os::unix::fs::symlink(target, &to).map_err(Error::io("create the link", &to))
        }
        Content::File { size_bytes, executable, digest } => {
            let mut from = open_source(&packed.folder, &file.path)?;
            let mode = if *executable { EXECUTABLE } else { READABLE };
            let mut out = File::options()
                .create_new(true)
                .write(true)
                .mode(mode)
                .open(&to)
                .map_err(Error::io("create", &to))?;
            let copied = read_through(&mut from, *size_bytes, chunk, |part| out.write_all(part))
                .map_err(Error::io("copy", &to))?;
            if copied.as_ref() != Some(digest) {
                return Err(Error::SourceChanged { path: file.path.clone() });
            }
            finish(&out, &to, mode, sync)
        }
    }
}

/// Sets permissions that a umask may have removed.
fn finish(file: &File, path: &Path, mode: u32, sync: bool) -> Result<(), Error> {
    file.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("protect", path))?;
    if sync { file.sync_all().map_err(Error::io("sync", path)) } else { Ok(()) }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let create = File::options().create_new(true).write(true).mode(READABLE).open(path);
    let mut file = create.map_err(Error::io("create", path))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
    finish(&file, path, READABLE, true)
}

/// Syncs the folders, whose files are synced already.
pub(super) fn sync_tree(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        if entry.file_type().map_err(Error::io("look at", folder))?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_folder(folder)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let open = File::open(folder).map_err(Error::io("open", folder))?;
    open.sync_all().map_err(Error::io("sync", folder))
}

pub(super) fn put_in_place(unfinished: &Path, path: &Path) -> Result<(), Error> {
    match fs::rename(unfinished, path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            // Another process built the same parcel: a digest has only one content.
            fs::remove_dir_all(unfinished).map_err(Error::io("remove", unfinished))
        }
        Err(error) => Err(Error::io("create", path)(error)),
    }
}
