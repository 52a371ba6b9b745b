//! Why a file is no export that can be used.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use errand_model::RunId;
use thiserror::Error;

use crate::evidence::Finding;

/// Why a file cannot be verified or taken in. Nothing was created.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// It cannot be opened, or is no file.
    #[error("{} cannot be opened", .path.display())]
    Unopened {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is neither an export nor a journal.
    #[error("the file is neither an export nor a journal: {reason}")]
    Foreign {
        /// What is wrong.
        reason: String,
    },
    /// It ends too early, or something stands where nothing may, or a part has another content.
    #[error("the export was changed: {what}")]
    Damaged {
        /// What is wrong, and where.
        what: String,
    },
    /// A newer program wrote it.
    #[error("the export was written by a newer errand: {what}")]
    Newer {
        /// What this program does not know.
        what: String,
    },
    /// It is an export in every way, and not what was written.
    #[error("the export of run {run_id} is not what was written: {finding}")]
    Tampered {
        /// Which run.
        run_id: RunId,
        /// What was found first.
        finding: Box<Finding>,
    },
    /// The run was not over when it was exported.
    #[error("run {run_id} was not over when it was exported")]
    Live {
        /// Which run.
        run_id: RunId,
    },
    /// Files of a run of that id lie in the registry, which does not know it.
    #[error("files of run {run_id} are here, but the registry does not know it")]
    Stray {
        /// Which run.
        run_id: RunId,
    },
    /// Something else.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}

/// Opens a file that was named by whoever wants it read.
///
/// # Errors
///
/// [`FileError::Unopened`]; so is a folder.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    let unopened = |source| FileError::Unopened { path: path.to_owned(), source };
    let file = File::open(path).map_err(unopened)?;
    if file.metadata().map_err(unopened)?.is_dir() {
        return Err(unopened(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}
