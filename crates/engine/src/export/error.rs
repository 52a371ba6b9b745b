//! Errors of reading an export or a journal file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use thiserror::Error;

use crate::error::CodedError;
use crate::evidence::Finding;

/// Error: a file cannot be verified or imported. No run was created.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The file cannot be opened, or is a folder.
    #[error("{} cannot be opened", .path.display())]
    Unopened {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file is neither an export nor a journal.
    #[error("the file is neither an export nor a journal: {reason}")]
    Foreign {
        /// Reason in words.
        reason: String,
    },
    /// The export ends too early, has an entry too many, or an entry has another content.
    #[error("the export was changed: {what}")]
    Damaged {
        /// The problem and its place, in words.
        what: String,
    },
    /// A newer errand wrote the file.
    #[error("the export was written by a newer errand: {what}")]
    Newer {
        /// The part that this program does not know.
        what: String,
    },
    /// The export has a valid form, but an event or a blob is not the one that was written.
    #[error("the export of run {run_id} is not what was written: {finding}")]
    Tampered {
        /// Id of the run.
        run_id: RunId,
        /// First finding.
        finding: Box<Finding>,
    },
    /// The run was not over when it was exported.
    #[error("run {run_id} was not over when it was exported")]
    Live {
        /// Id of the run.
        run_id: RunId,
    },
    /// The registry has files of a run of that id, but not the run.
    #[error("files of run {run_id} are here, but the registry does not know it")]
    Stray {
        /// Id of the run.
        run_id: RunId,
    },
    /// Any other error of the engine.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}

/// Error: a run that a coordinator started was removed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {child}, which was the step {step:?} below run {run_id}, was removed")]
pub struct ChildRemoved {
    /// The coordinator to be read with all its descendants.
    pub run_id: RunId,
    /// Key of the step.
    pub step: String,
    /// The removed run.
    pub child: RunId,
}

impl CodedError for ChildRemoved {
    fn code(&self) -> ErrorCode {
        ErrorCode::ChildRemoved
    }
}

impl FileError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io(error) | Self::Unopened { source: error, .. } => ErrorCode::of_io(error),
            Self::Foreign { .. } => ErrorCode::ArchiveInvalid,
            Self::Damaged { .. } => ErrorCode::ArchiveDamaged,
            Self::Newer { .. } => ErrorCode::ArchiveNewer,
            Self::Tampered { .. } => ErrorCode::JournalBroken,
            Self::Live { .. } => ErrorCode::RunLive,
            Self::Stray { .. } => ErrorCode::RegistryDamaged,
            Self::Engine(error) => error.code(),
        }
    }
}

/// Opens a file whose path a caller gave.
///
/// # Errors
///
/// [`FileError::Unopened`], also for a folder.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    let unopened = |source| FileError::Unopened { path: path.to_owned(), source };
    let file = File::open(path).map_err(unopened)?;
    if file.metadata().map_err(unopened)?.is_dir() {
        return Err(unopened(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}
