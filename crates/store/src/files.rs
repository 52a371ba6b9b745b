//! Reading and writing of the files beside the database: atomically, within bounds, never through a
//! link.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Registry;
use crate::private_file::private;
use crate::registry::RegistryError;

/// Durability of a write against a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// The content is on the disk before the file has its name, and the name before the call ends.
    Yes,
    /// The operating system writes the content later. Readers never see half of it.
    No,
}

/// Distinguishes temporary files of one process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Error number of the kernel for a link where none may be followed.
const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// Replaces the content of `path` by `bytes`: a reader sees the old or the new content, never a
/// part.
///
/// # Errors
///
/// [`RegistryError::File`]; the old content is then still there.
pub fn write_atomic(path: &Path, bytes: &[u8], sync: Sync) -> Result<(), RegistryError> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, bytes, sync)
        .and_then(|()| rename(&temporary, path))
        .and_then(|()| if sync == Sync::Yes { sync_folder_of(path) } else { Ok(()) });
    if written.is_err() {
        // The file may never have been created; the first error is the one to report.
        drop(std::fs::remove_file(&temporary));
    }
    written
}

/// Writes a file durably, unless there is one of that name: of several writers at once, one wins.
///
/// # Errors
///
/// [`RegistryError::File`].
pub(crate) fn write_once(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, bytes, Sync::Yes).and_then(|()| {
        match std::fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked.map_err(|source| RegistryError::File {
                doing: "put in place",
                path: path.to_path_buf(),
                source,
            }),
        }
    });
    // The file may never have been created; the first error is the one to report.
    drop(std::fs::remove_file(&temporary));
    written.and_then(|()| sync_folder_of(path))
}

/// Makes the content of `path`, and its name, survive a power failure.
///
/// # Errors
///
/// [`RegistryError::File`].
pub fn sync(path: &Path) -> Result<(), RegistryError> {
    let failed = |source| RegistryError::File { doing: "sync", path: path.to_path_buf(), source };
    File::open(path).and_then(|file| file.sync_all()).map_err(failed)?;
    sync_folder_of(path)
}

/// Returns an unused name in the folder of `path`.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()))
}

fn write_new(path: &Path, bytes: &[u8], sync: Sync) -> Result<(), RegistryError> {
    let failed = |source| RegistryError::File { doing: "write", path: path.to_path_buf(), source };
    let mut file = private().write(true).create(true).truncate(true).open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if sync == Sync::Yes { file.sync_all().map_err(failed) } else { Ok(()) }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), RegistryError> {
    std::fs::rename(from, to).map_err(|source| RegistryError::File {
        doing: "put in place",
        path: to.to_path_buf(),
        source,
    })
}

/// Makes the names in the folder of `path` survive a power failure.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), RegistryError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| RegistryError::File {
        doing: "sync",
        path: folder.to_path_buf(),
        source,
    })
}

/// Reads a plain file of the registry, at most `limit_bytes` long; `None` if there is none.
///
/// # Errors
///
/// [`RegistryError::Outside`] for a path that leaves the registry, also through links;
/// [`RegistryError::NotAFile`], [`RegistryError::TooLong`], [`RegistryError::File`].
pub fn read(
    registry: &Registry,
    path: &Path,
    limit_bytes: u64,
) -> Result<Option<Vec<u8>>, RegistryError> {
    let Some((mut file, size_bytes)) = open(registry, path)? else {
        return Ok(None);
    };
    let failed = |source| RegistryError::File { doing: "read", path: path.to_path_buf(), source };
    let too_long =
        |size_bytes| RegistryError::TooLong { path: path.to_path_buf(), size_bytes, limit_bytes };
    if size_bytes > limit_bytes {
        return Err(too_long(size_bytes));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
    // The file may grow while it is read: the bound holds nevertheless.
    std::io::Read::by_ref(&mut file)
        .take(limit_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let read_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if read_bytes > limit_bytes {
        return Err(too_long(read_bytes));
    }
    Ok(Some(bytes))
}

/// Opens a plain file of the registry for reading. Returns it with its length in bytes; `None` if
/// there is none.
///
/// # Errors
///
/// As [`read`], without [`RegistryError::TooLong`].
pub fn open(registry: &Registry, path: &Path) -> Result<Option<(File, u64)>, RegistryError> {
    let failed = |source| RegistryError::File { doing: "read", path: path.to_path_buf(), source };
    if !is_inside(registry, path) {
        let (path, root) = (path.to_path_buf(), registry.root().to_path_buf());
        return Err(RegistryError::Outside { path, root });
    }
    // Non-blocking: a pipe at that path must not hang the reader.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let custom = i32::try_from(flags.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(custom).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(LOOP) => {
            return Err(RegistryError::NotAFile { path: path.to_path_buf() });
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(RegistryError::NotAFile { path: path.to_path_buf() });
    }
    Ok(Some((file, metadata.len())))
}

/// Returns true if the folder of `path` lies in the registry once links and `..` are resolved.
fn is_inside(registry: &Registry, path: &Path) -> bool {
    let Ok(root) = registry.root().canonicalize() else {
        return path.starts_with(registry.root());
    };
    match path.parent().map(Path::canonicalize) {
        Some(Ok(folder)) => folder.starts_with(root),
        // A folder that does not exist holds no file to be read.
        Some(Err(_)) => path.starts_with(registry.root()),
        None => false,
    }
}
