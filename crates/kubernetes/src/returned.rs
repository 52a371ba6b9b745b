//! Trees that a Pod sends back after the end of its command: workspace, state and output.
//!
//! A tree from a Pod is not trusted: it is written below a folder of errand's own, without links, and
//! replaces the tree of this machine once it has come as a whole.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use errand_agent::log;
use errand_shim::FilePiece;

/// Trees on their way back.
#[derive(Debug)]
pub(crate) struct ReturnedTrees {
    /// Paths that may come back.
    roots: Vec<PathBuf>,
    /// Folder for what has come so far.
    folder: PathBuf,
    log: Arc<log::Writer>,
    failed: Vec<PathBuf>,
}

impl ReturnedTrees {
    pub(crate) fn new(roots: Vec<PathBuf>, start: &Path, log: &Arc<log::Writer>) -> Self {
        let folder = start.join("returned");
        Self { roots, folder, log: Arc::clone(log), failed: Vec::new() }
    }

    /// Takes a piece. A tree that cannot be written is left as it was, and the log says so.
    pub(crate) fn take(&mut self, piece: &FilePiece) {
        let path = match piece {
            FilePiece::Folder { path, .. } | FilePiece::Bytes { path, .. } => PathBuf::from(path),
            FilePiece::Whole { root } | FilePiece::Cut { root } => PathBuf::from(root),
        };
        let Some(number) = self.roots.iter().position(|root| path.starts_with(root)) else {
            return;
        };
        let root = self.roots[number].clone();
        if self.failed.contains(&root) {
            return;
        }
        let staged = self.folder.join(number.to_string());
        let written = match piece {
            FilePiece::Folder { .. } | FilePiece::Bytes { .. } => {
                write(&staged, &root, &path, piece)
            }
            FilePiece::Whole { .. } => put(&staged, &root),
            FilePiece::Cut { .. } => Err(io::Error::other("it is too large, or cannot be read")),
        };
        if let Err(error) = written {
            let path = root.display();
            self.log.system(&format!("{path} did not come back from the Pod: {error}"));
            self.failed.push(root);
        }
    }
}

fn write(staged: &Path, root: &Path, path: &Path, piece: &FilePiece) -> io::Result<()> {
    let below = path.strip_prefix(root).map_err(io::Error::other)?;
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Joining an empty path would end with a slash, which no file has.
    let path = if below.as_os_str().is_empty() { staged.to_owned() } else { staged.join(below) };
    match piece {
        FilePiece::Folder { .. } => fs::create_dir_all(path),
        FilePiece::Bytes { mode, at, bytes, .. } => {
            let mut options = OpenOptions::new();
            options.write(true).mode(mode & 0o777);
            if *at == 0 {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                options.create(true).truncate(true);
            }
            options.open(path)?.write_all_at(bytes, *at)
        }
        FilePiece::Whole { .. } | FilePiece::Cut { .. } => Ok(()),
    }
}

/// Puts a tree that has come into its place. One that the Pod does not have is removed.
fn put(staged: &Path, root: &Path) -> io::Result<()> {
    remove(root)?;
    match fs::rename(staged, root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(staged, root),
        renamed => renamed,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(path: &Path, text: &str) -> FilePiece {
        let (path, bytes) = (path.as_os_str().to_owned(), text.as_bytes().to_vec());
        FilePiece::Bytes { path, mode: 0o644, at: 0, bytes }
    }

    #[test]
    fn a_tree_takes_its_place_as_a_whole_and_nothing_else_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(log::Writer::open(&folder.path().join("run.log")).unwrap());
        let (tree, other) = (folder.path().join("work"), folder.path().join("other"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("old"), "").unwrap();
        let mut returned = ReturnedTrees::new(vec![tree.clone()], folder.path(), &log);
        returned.take(&bytes(&tree.join("a/b"), "new"));
        returned.take(&bytes(&other, "x"));
        assert!(tree.join("old").exists());
        returned.take(&FilePiece::Whole { root: tree.clone().into() });
        assert!(!tree.join("old").exists() && !other.exists());
        assert_eq!(fs::read_to_string(tree.join("a/b")).unwrap(), "new");
        returned.take(&bytes(&tree.join("../other"), "x"));
        returned.take(&FilePiece::Whole { root: tree.clone().into() });
        assert!(tree.join("a/b").exists() && !other.exists());
    }
}
