//! Traces of tasks on this machine: for each attempt a file with the way to its task, written before the
//! task is sent.
//!
//! A process that is killed after it sent a task, and before the journal names it, leaves this file: the next
//! look at the run cancels the task.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use errand_model::RunId;

use crate::route::TaskRoute;

/// Longest file that is read.
const LIMIT_BYTES: u64 = 64 * 1_024;

/// File of an attempt, made or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptRoute {
    path: PathBuf,
}

impl KeptRoute {
    pub(crate) fn of(folder: &Path, run_id: &RunId, attempt: u32) -> Self {
        Self { path: folder.join(format!("{run_id}.{attempt}")) }
    }

    /// Writes the way to the task, which survives a loss of power.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn write(&self, route: &TaskRoute) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(&serde_json::to_vec(route)?)?;
        file.sync_all()
    }

    /// Reads the way to the task. `None`: it was not written as a whole, and no task was sent.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn read(&self) -> io::Result<Option<TaskRoute>> {
        let found = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if found.len() > LIMIT_BYTES {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&fs::read(&self.path)?).ok())
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.is_file()
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// If it is still there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Lists the attempts that have a file in `folder`.
    pub(crate) fn list(folder: &Path) -> Vec<(RunId, u32)> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let attempt = |name: &str| {
            let (run_id, number) = name.rsplit_once('.')?;
            Some((run_id.parse().ok()?, number.parse().ok()?))
        };
        entries.filter_map(|entry| attempt(entry.file_name().to_str()?)).collect()
    }
}
