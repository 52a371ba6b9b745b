//! Copies of workspaces for other runs.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::Path;

use errand_model::RunId;

use super::{Error, MODE, Workspaces, remove_tree};
use crate::regular::open_regular;

/// Mode of an incomplete copy: private to its owner.
const FILE_MODE: u32 = 0o600;

impl Workspaces {
    /// Creates the workspace of `to` as a copy of that of `from`, if that has one. Links stay
    /// links; other special files are left out. A git worktree is not copied: the new run checks
    /// out its own.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; an incomplete copy is removed.
    pub fn copy(&self, from: &RunId, to: &RunId) -> Result<(), Error> {
        let (from, to) = (self.path(from), self.path(to));
        if !from.is_dir() || from.join(".git").is_file() {
            return Ok(());
        }
        copy_tree(&from, &to).map_err(|source| {
            // Remains of the copy do no harm.
            drop(remove_tree(&to));
            Error::Io { path: to, action: "copied", source }
        })
    }
}

/// Copies a file with its permissions. It may have been replaced since its type was read.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = open_regular(from)?;
    let permissions = from.metadata()?.permissions();
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(to)?;
    io::copy(&mut from, &mut to)?;
    to.set_permissions(permissions)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(MODE).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &target)?;
        } else if kind.is_file() {
            copy_file(&path, &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
