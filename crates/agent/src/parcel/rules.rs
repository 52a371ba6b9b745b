//! Rules that leave files of an agent's folder out of its parcel.
//!
//! `.errandignore` files in the folder take precedence, then `.gitignore` files in it and above it
//! up to the top of the repository, then errand's own list. Of files of one name the closest takes
//! precedence, and in a file its last matching line. The content of a folder that is left out is
//! not read.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};

use super::error::Error;
use super::{ALWAYS_IGNORED, IGNORE_FILE_NAME, LEFT_OUT};
use crate::regular::read_regular;

/// Name of git's ignore file.
const GITIGNORE: &str = ".gitignore";
/// Size limit of an ignore file.
const LIMIT_BYTES: u64 = 1024 * 1024;
/// File that marks a virtual environment of Python, whatever the folder's name is.
const VENV_MARK: &str = "pyvenv.cfg";
/// Files that mark the folder of a registry, in which nothing is meant for git.
const REGISTRY_MARKS: [&str; 2] = ["registry.db", "in-a-database"];

/// Result of the rules for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No rule matches it.
    Packed,
    /// `.errandignore` names it with a `!`.
    Named,
    /// An ignore file names it.
    Ignored {
        /// The ignore file.
        by: PathBuf,
    },
    /// Errand's own list names it.
    LeftOut,
}

/// Rules of one folder; ignore files are read when they are first needed.
#[derive(Debug)]
pub(super) struct Rules {
    folder: PathBuf,
    /// Top of the repository around the folder, or the folder itself.
    top: PathBuf,
    read: Mutex<HashMap<PathBuf, Arc<Gitignore>>>,
    /// Error of the first ignore file that cannot be read.
    error: Mutex<Option<Error>>,
}

impl Rules {
    /// Creates the rules of an agent's folder, whose path has no links.
    pub(super) fn of(folder: &Path) -> Self {
        let (read, error) = (Mutex::default(), Mutex::default());
        Self { folder: folder.to_owned(), top: repository_top(folder), read, error }
    }

    /// Returns the error of the first ignore file that could not be read.
    pub(super) fn check(&self) -> Result<(), Error> {
        match lock(&self.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Returns the verdict on a path whose own folder is packed.
    pub(super) fn verdict(&self, path: &Path, is_folder: bool) -> Verdict {
        let name = path.file_name().unwrap_or_default();
        if ALWAYS_IGNORED.iter().any(|ignored| name == *ignored) {
            return Verdict::LeftOut;
        }
        match self.asked(path, is_folder, IGNORE_FILE_NAME, &self.folder) {
            Some(Ok(())) => return Verdict::Named,
            Some(Err(by)) => return Verdict::Ignored { by },
            None => {}
        }
        match self.asked(path, is_folder, GITIGNORE, &self.top) {
            Some(Ok(())) => return Verdict::Packed,
            Some(Err(by)) => return Verdict::Ignored { by },
            None => {}
        }
        let is_listed = LEFT_OUT.iter().any(|ignored| name == *ignored);
        if is_folder && (is_listed || path.join(VENV_MARK).is_file()) {
            return Verdict::LeftOut;
        }
        Verdict::Packed
    }

    /// Returns the verdict on a path, considering the folders that it lies in.
    pub(super) fn verdict_of_all(&self, relative: &Path) -> Verdict {
        let mut path = self.folder.clone();
        let mut verdict = Verdict::Packed;
        let parts = relative.components().count();
        for (index, part) in relative.components().enumerate() {
            path.push(part);
            let is_folder = index + 1 < parts || path.is_dir();
            verdict = match (self.verdict(&path, is_folder), verdict) {
                (Verdict::Packed, Verdict::Named) => Verdict::Named,
                (verdict @ (Verdict::Ignored { .. } | Verdict::LeftOut), _) => return verdict,
                (verdict, _) => verdict,
            };
        }
        verdict
    }

    /// Asks the files called `name`, in the path's folder and above up to `top`: `Ok` if the path
    /// is named with a `!`, `Err` with the file that leaves it out.
    fn asked(
        &self,
        path: &Path,
        is_folder: bool,
        name: &str,
        top: &Path,
    ) -> Option<Result<(), PathBuf>> {
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(top));
        for folder in folders {
            let file = folder.join(name);
            match self.rules(folder, &file).matched(path, is_folder) {
                Match::None => {}
                Match::Whitelist(_) => return Some(Ok(())),
                Match::Ignore(glob) => return Some(Err(source(glob, file))),
            }
        }
        None
    }

    fn rules(&self, folder: &Path, file: &Path) -> Arc<Gitignore> {
        if let Some(known) = lock(&self.read).get(file) {
            return Arc::clone(known);
        }
        let read = read(folder, file).unwrap_or_else(|error| {
            lock(&self.error).get_or_insert(error);
            Gitignore::empty()
        });
        let read = Arc::new(read);
        lock(&self.read).insert(file.to_owned(), Arc::clone(&read));
        read
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn source(glob: &Glob, file: PathBuf) -> PathBuf {
    glob.from().map_or(file, Path::to_owned)
}

fn read(folder: &Path, file: &Path) -> Result<Gitignore, Error> {
    let text = match read_regular(file, LIMIT_BYTES) {
        Ok(text) => text,
        Err(error) if is_none(&error) => return Ok(Gitignore::empty()),
        Err(error) => return Err(Error::io("read", file)(error)),
    };
    let mut rules = GitignoreBuilder::new(folder);
    let invalid = |line: usize, error: &ignore::Error| Error::IgnoreFileInvalid {
        reason: format!("{} line {line}: {error}", file.display()),
    };
    for (index, line) in text.lines().enumerate() {
        rules.add_line(Some(file.to_owned()), line).map_err(|error| invalid(index + 1, &error))?;
    }
    rules.build().map_err(|error| invalid(0, &error))
}

/// Returns true if there is no such file, or something else has its name.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput)
}

/// Returns the top of the git repository around a folder; the folder itself if there is none. A
/// workspace in a registry belongs to no repository.
fn repository_top(folder: &Path) -> PathBuf {
    let is_registry = |folder: &Path| {
        folder.file_name().is_some_and(|name| name == ".errand")
            || REGISTRY_MARKS.iter().any(|mark| folder.join(mark).exists())
    };
    for above in folder.ancestors() {
        if above != folder && is_registry(above) {
            break;
        }
        if fs::symlink_metadata(above.join(".git")).is_ok() {
            return above.to_owned();
        }
    }
    folder.to_owned()
}
