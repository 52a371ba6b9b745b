//! Workspace: the working directory of a run's attempts.
//!
//! Created once per run, and the same for all its attempts: an attempt finds the unfinished work of
//! the previous one. Deliberately absent: a lock; only the holder of the run's lease prepares it.

mod copy;
mod git;
mod limited;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use errand_model::RunId;
use thiserror::Error;

use git::Git;

/// Mode of a workspace: private to its owner.
const MODE: u32 = 0o700;

/// Kind of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An empty directory.
    Temp,
    /// The directory from which the run was submitted; it is neither created nor removed.
    Cwd,
    /// A git worktree of the repository from which the run was submitted.
    Worktree {
        /// Reference to be checked out, detached; `None`: the repository's `HEAD`.
        reference: Option<String>,
    },
    /// A clone of a repository.
    Clone {
        /// URL for git; a relative path starts from the directory from which the run was submitted.
        url: String,
        /// Reference to be checked out, detached; `None`: the repository's default branch.
        reference: Option<String>,
    },
}

/// Error: the workspace cannot be prepared or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// The directory from which the run was submitted does not exist.
    #[error("directory {path:?} does not exist")]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A worktree was requested outside of a repository.
    #[error("{path:?} is not in a git repository, and a worktree needs one")]
    NoRepository {
        /// Directory from which the run was submitted.
        path: PathBuf,
    },
    /// The reference to be checked out does not exist.
    #[error("{reference:?} is not a commit, branch or tag of {repository}")]
    NoReference {
        /// The given reference.
        reference: String,
        /// Path or URL of the repository.
        repository: String,
    },
    /// Git would take the reference or URL for an option.
    #[error("{text:?} starts with a dash")]
    LooksLikeOption {
        /// The given text.
        text: String,
    },
    /// Git is not installed.
    #[error("git is not installed, and this workspace needs it")]
    NoGit,
    /// Git failed.
    #[error("git {action} failed: {message}")]
    Git {
        /// Git command that failed.
        action: &'static str,
        /// Last lines of git's message.
        message: String,
    },
    /// The file system reported an error.
    #[error("workspace {path:?} cannot be {action}")]
    Io {
        /// The workspace.
        path: PathBuf,
        /// Operation that failed, a participle.
        action: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// The workspaces of a registry.
#[derive(Clone, Debug)]
pub struct Workspaces {
    root: PathBuf,
}

impl Workspaces {
    /// Creates a handle to the workspaces in the folder `root`, which is created with the first
    /// one.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the path of a run's workspace, unless it has the mode [`Mode::Cwd`].
    pub fn path(&self, run_id: &RunId) -> PathBuf {
        self.root.join(run_id.as_str())
    }

    /// Creates the workspace of a run, or finds an existing one. Returns its absolute path. An
    /// incomplete one is created anew. Blocks while git works.
    ///
    /// `origin` is the directory from which the run was submitted.
    ///
    /// # Errors
    ///
    /// As the variants say; an incomplete workspace is removed.
    pub fn prepare(&self, run_id: &RunId, mode: &Mode, origin: &Path) -> Result<PathBuf, Error> {
        let path = self.path(run_id);
        let io = |action| move |source| Error::Io { path: self.path(run_id), action, source };
        let make_root = || {
            fs::DirBuilder::new().recursive(true).mode(MODE).create(&self.root).map_err(io("made"))
        };
        match mode {
            Mode::Cwd if origin.is_dir() => return fs::canonicalize(origin).map_err(io("found")),
            Mode::Cwd => return Err(Error::NoDirectory { path: origin.to_owned() }),
            Mode::Temp => {
                make_root()?;
                match fs::DirBuilder::new().mode(MODE).create(&path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(io("made")(error));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            Mode::Worktree { reference } => {
                make_root()?;
                self.worktree(run_id, reference.as_deref(), origin)?;
            }
            Mode::Clone { url, reference } => {
                make_root()?;
                self.clone_repository(run_id, url, reference.as_deref(), origin)?;
            }
        }
        fs::canonicalize(&path).map_err(io("found"))
    }

    /// Removes the workspace of a run, if there is one. A directory of mode [`Mode::Cwd`] is never
    /// touched.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a part of it cannot be removed.
    pub fn remove(&self, run_id: &RunId) -> Result<(), Error> {
        let path = self.path(run_id);
        let repository = Git::repository_of_worktree(&path);
        for path in [&path, &self.unfinished(run_id)] {
            remove_tree(path).map_err(|source| Error::Io {
                path: path.clone(),
                action: "removed",
                source,
            })?;
        }
        if let Some(repository) = repository {
            // The directory is gone; an entry in git's list does no harm, and git's next clean-up
            // removes it.
            let _pruned = Git::at(&repository).run("worktree", &["prune"]);
        }
        Ok(())
    }

    fn worktree(
        &self,
        run_id: &RunId,
        reference: Option<&str>,
        origin: &Path,
    ) -> Result<(), Error> {
        let path = self.path(run_id);
        if Git::at(&path).is_checked_out(&path) {
            return Ok(());
        }
        let repository = Git::at(origin);
        if !origin.is_dir() {
            return Err(Error::NoDirectory { path: origin.to_owned() });
        }
        if !repository.is_repository()? {
            return Err(Error::NoRepository { path: origin.to_owned() });
        }
        let reference = reference.unwrap_or("HEAD");
        let commit = repository.commit(reference, &origin.display().to_string())?;
        self.remove(run_id)?;
        repository.run("worktree", &["prune"])?;
        let made = absolute(&path).and_then(|path| repository.add_worktree(&path, &commit));
        if made.is_err() {
            self.remove(run_id)?;
        }
        made
    }

    fn clone_repository(
        &self,
        run_id: &RunId,
        url: &str,
        reference: Option<&str>,
        origin: &Path,
    ) -> Result<(), Error> {
        let path = self.path(run_id);
        if path.exists() {
            // The folder gets this name only once it is complete.
            return Ok(());
        }
        let unfinished = self.unfinished(run_id);
        let io = |action| {
            let path = unfinished.clone();
            move |source| Error::Io { path, action, source }
        };
        remove_tree(&unfinished).map_err(io("removed"))?;
        let made = absolute(&unfinished)
            .and_then(|target| Git::at(origin).clone_to(url, reference, &target))
            .and_then(|()| fs::rename(&unfinished, &path).map_err(io("made")));
        if made.is_err() {
            remove_tree(&unfinished).map_err(io("removed"))?;
        }
        made
    }

    /// Returns the path of an unfinished clone.
    fn unfinished(&self, run_id: &RunId) -> PathBuf {
        self.root.join(format!(".{run_id}.unfinished"))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        action: "found",
        source,
    })
}

/// Removes a directory and its content, including directories that a program made read-only. Links
/// are removed and not followed.
fn remove_tree(path: &Path) -> io::Result<()> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match missing_is_fine(fs::remove_dir_all(path)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            missing_is_fine(fs::remove_dir_all(path))
        }
        other => other,
    }
}

/// Gives the owner all rights to a directory and those below.
fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(MODE))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
