//! The directory that the attempts of a run work in.
//!
//! Made once per run, and the same for all its attempts: what one attempt left half done is there
//! for the next. Deliberately absent: a lock; only the holder of the run's lease prepares it.

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

/// Only its owner looks into a workspace.
const MODE: u32 = 0o700;

/// What kind of workspace a run has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An empty directory.
    Temp,
    /// The directory that the run was asked for from; nothing is made, nothing removed.
    Cwd,
    /// A git worktree of the repository that the run was asked for from.
    Worktree {
        /// What is checked out, detached; the repository's `HEAD` if not given.
        reference: Option<String>,
    },
    /// A clone of a repository.
    Clone {
        /// Anything that git clones; a relative path starts from where the run was asked for.
        url: String,
        /// What is checked out, detached; the repository's default branch if not given.
        reference: Option<String>,
    },
}

/// Why there is no workspace.
#[derive(Debug, Error)]
pub enum Error {
    /// The directory that the run was asked for from is not there.
    #[error("directory {path:?} does not exist")]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A worktree was asked for outside a repository.
    #[error("{path:?} is not in a git repository, and a worktree needs one")]
    NoRepository {
        /// Where the run was asked for.
        path: PathBuf,
    },
    /// What is to be checked out does not exist.
    #[error("{reference:?} is not a commit, branch or tag of {repository}")]
    NoReference {
        /// As given.
        reference: String,
        /// Path or URL of the repository.
        repository: String,
    },
    /// A reference or URL that git would take for an option.
    #[error("{text:?} starts with a dash")]
    LooksLikeOption {
        /// As given.
        text: String,
    },
    /// There is no git on this machine.
    #[error("git is not installed, and this workspace needs it")]
    NoGit,
    /// Git failed otherwise.
    #[error("git {action} failed: {message}")]
    Git {
        /// What it was asked for.
        action: &'static str,
        /// What it said, its last lines.
        message: String,
    },
    /// The disk.
    #[error("workspace {path:?} cannot be {action}")]
    Io {
        /// The workspace.
        path: PathBuf,
        /// What was tried.
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
    /// The workspaces in the folder `root`, which is made when the first one is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the workspace of a run is, unless it has the mode [`Mode::Cwd`].
    pub fn path(&self, run_id: &RunId) -> PathBuf {
        self.root.join(run_id.as_str())
    }

    /// Makes the workspace of a run, or finds the one that was made; returns its absolute path.
    /// One that was made half is made anew. Blocks while git works.
    ///
    /// `origin` is the directory that the run was asked for from.
    ///
    /// # Errors
    ///
    /// As the variants say; what was made half is removed.
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

    /// Removes the workspace of a run; one that is not there is removed already. A directory of
    /// mode [`Mode::Cwd`] is never touched.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if something of it cannot be removed.
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
            // The directory is gone; that git still lists it disturbs nobody, and it forgets it
            // at its next clean-up.
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
            // It has this name only once it is whole.
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

    /// Where a clone is made.
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

/// Removes a directory and all in it, also where a program left directories that cannot be
/// written to. Links are removed and not followed.
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
