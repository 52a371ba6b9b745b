//! Unpacking of an agent's folder from an archive, into a folder that its entries cannot leave.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use errand_agent::parcel::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};
use tar::{Archive, Entry, EntryType};
use thiserror::Error;

use crate::Engine;
use crate::engine::random;
use crate::error::{IoFailure, NoRandomness};

/// Most entries of an archive: files, links and folders.
const ENTRIES_LIMIT: usize = 2 * MAX_FILES;

/// Error: an archive cannot be unpacked.
#[derive(Debug, Error)]
pub enum MalformedArchive {
    /// The archive cannot be read, or broke off.
    #[error("the archive cannot be read")]
    Archive(#[source] io::Error),
    /// The archive has an entry that no agent's folder may have.
    #[error("the archive holds {path:?}, which {reason}")]
    Entry {
        /// Path in the archive.
        path: String,
        /// Reason in words.
        reason: &'static str,
    },
    /// The archive exceeds a limit of agents.
    #[error("the archive holds {what}")]
    TooLarge {
        /// The exceeded limit, in words.
        what: &'static str,
    },
    /// The folder could not be written.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The system has no randomness to give.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// An unpacked folder, removed on drop.
#[derive(Debug)]
pub struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    /// Returns the path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Nothing uses a folder that could not be removed.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Unpacks a tar archive into a folder of its own beside the registry's parcels.
///
/// # Errors
///
/// [`MalformedArchive`]; nothing is left then.
pub fn unpack(engine: &Engine, archive: &[u8]) -> Result<Unpacked, MalformedArchive> {
    let name = format!(".upload-{:016x}", random()?);
    let folder = engine.registry().parcels().join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(IoFailure::of("create", &folder))?;
    let unpacked = Unpacked { folder };
    let mut room = Room { entries: 0, files: 0, bytes: 0 };
    let mut links = Vec::new();
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(MalformedArchive::Archive)? {
        let mut entry = entry.map_err(MalformedArchive::Archive)?;
        let Some(path) = place(&entry)? else { continue };
        room.take(&entry)?;
        let target = unpacked.folder.join(&path);
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(IoFailure::of("create", &target))?;
        } else if kind.is_file() {
            write(&mut entry, &target)?;
        } else {
            links.push((link(&entry, &path)?, target));
        }
    }
    // Links come last: nothing is written through one.
    for (to, target) in links {
        make_parent(&target)?;
        symlink(&to, &target).map_err(IoFailure::of("create", &target))?;
    }
    Ok(unpacked)
}

/// Amounts counted against the limits of an archive.
struct Room {
    entries: usize,
    files: usize,
    bytes: u64,
}

impl Room {
    fn take<R: Read>(&mut self, entry: &Entry<'_, R>) -> Result<(), MalformedArchive> {
        let too_large = |what| Err(MalformedArchive::TooLarge { what });
        self.entries += 1;
        self.files += usize::from(!entry.header().entry_type().is_dir());
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.entries > ENTRIES_LIMIT || self.files > MAX_FILES {
            return too_large("more files than an agent may have");
        }
        if entry.size() > MAX_FILE_BYTES {
            return too_large("a file larger than an agent may have");
        }
        if self.bytes > MAX_TOTAL_BYTES {
            return too_large("more bytes than an agent may have");
        }
        Ok(())
    }
}

/// Returns the path of an entry below the folder; `None` for the folder itself and for a global
/// header.
fn place<R: Read>(entry: &Entry<'_, R>) -> Result<Option<PathBuf>, MalformedArchive> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let path = entry.path().map_err(MalformedArchive::Archive)?;
    let wrong =
        |reason| Err(MalformedArchive::Entry { path: path.to_string_lossy().into_owned(), reason });
    if !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
        return wrong("is no file, folder or link");
    }
    let mut place = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return wrong("leaves the agent's folder");
            }
        }
    }
    Ok(Some(place).filter(|place| !place.as_os_str().is_empty()))
}

/// Returns the target of a link. Building the parcel checks that it stays in the folder.
fn link<R: Read>(entry: &Entry<'_, R>, path: &Path) -> Result<PathBuf, MalformedArchive> {
    let to = entry.link_name().map_err(MalformedArchive::Archive)?;
    to.map(std::borrow::Cow::into_owned).ok_or_else(|| MalformedArchive::Entry {
        path: path.to_string_lossy().into_owned(),
        reason: "is a link to nowhere",
    })
}

fn write<R: Read>(entry: &mut Entry<'_, R>, target: &Path) -> Result<(), MalformedArchive> {
    make_parent(target)?;
    let mode = entry.header().mode().map_err(MalformedArchive::Archive)?;
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(target).map_err(IoFailure::of("create", target))?;
    // The mode must not depend on the umask.
    let permissions = fs::Permissions::from_mode(mode);
    file.set_permissions(permissions).map_err(IoFailure::of("create", target))?;
    io::copy(entry, &mut file).map_err(IoFailure::of("write", target))?;
    Ok(())
}

fn make_parent(target: &Path) -> Result<(), MalformedArchive> {
    let Some(parent) = target.parent() else { return Ok(()) };
    Ok(fs::create_dir_all(parent).map_err(IoFailure::of("create", parent))?)
}
