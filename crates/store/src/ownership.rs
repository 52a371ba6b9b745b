//! Ownership of a registry: whether only the user of this process can have written it.
//!
//! A run in a registry says which program is executed next. A user who can write a registry can
//! therefore execute programs as each user who reconciles it.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::Registry;
use crate::registry::beside;

/// Permission bits with which others than the owner can write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// User id of the superuser, who can write everything anyway.
const SUPERUSER: u32 = 0;

/// A file or folder of a registry that another user can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// The file or folder.
    pub path: PathBuf,
    /// Reason why another user can have written it.
    pub reason: ForeignReason,
}

/// Reason why a file or folder is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignReason {
    /// The owner is another user.
    Owner {
        /// User id of the owner.
        uid: u32,
    },
    /// The permissions let others write.
    Mode {
        /// The permission bits.
        mode: u32,
    },
    /// A symbolic link where only a file or a folder may be.
    Link,
}

impl fmt::Display for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.reason {
            ForeignReason::Owner { uid } => write!(f, "{path} belongs to another user (uid {uid})"),
            ForeignReason::Mode { mode } => {
                write!(f, "{path} can be written by other users (mode {mode:04o})")
            }
            ForeignReason::Link => write!(f, "{path} is a symbolic link"),
        }
    }
}

impl Registry {
    /// Returns the first file or folder of the registry that another user than this process's can
    /// have written; `None` for a registry that is not there.
    pub fn foreign_file(&self) -> Option<ForeignFile> {
        let user = rustix::process::geteuid().as_raw();
        let root = self.root();
        let link = std::fs::symlink_metadata(root).ok()?;
        if link.uid() != user {
            return Some(owned(root, &link));
        }
        let folder = std::fs::metadata(root).ok()?;
        if folder.uid() != user {
            return Some(owned(root, &folder));
        }
        let mode = folder.permissions().mode() & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 {
            let reason = ForeignReason::Mode { mode };
            return Some(ForeignFile { path: root.to_owned(), reason });
        }
        let database = self.database();
        let files = [database.clone(), beside(&database, "-wal"), beside(&database, "-shm")];
        let folders = [self.runs(), self.parcels(), self.blobs(), self.state(), self.secrets()];
        for path in files.iter().chain(&folders) {
            // A missing file cannot have been written by anyone.
            let Ok(found) = std::fs::symlink_metadata(path) else { continue };
            if found.uid() != user {
                return Some(owned(path, &found));
            }
            if found.file_type().is_symlink() && files.contains(path) {
                return Some(ForeignFile { path: path.clone(), reason: ForeignReason::Link });
            }
        }
        None
    }

    /// Returns the first folder from `from` up to the one that holds the registry that belongs to
    /// another user, who could put another registry in its place. Folders of the superuser count
    /// as one's own.
    pub fn foreign_folder(&self, from: &Path) -> Option<ForeignFile> {
        let user = rustix::process::geteuid().as_raw();
        let holder = self.root().parent()?;
        let is_between = |folder: &&Path| folder.starts_with(holder);
        from.ancestors().take_while(is_between).find_map(|folder| {
            let found = std::fs::metadata(folder).ok()?;
            let is_trusted = found.uid() == user || found.uid() == SUPERUSER;
            (!is_trusted).then(|| owned(folder, &found))
        })
    }
}

fn owned(path: &Path, found: &Metadata) -> ForeignFile {
    ForeignFile { path: path.to_owned(), reason: ForeignReason::Owner { uid: found.uid() } }
}
