//! Errors of a store.

use std::path::PathBuf;

use errand_model::RunId;
use errand_model::error_code::ErrorCode;
use thiserror::Error;

use crate::dead_letter::{DeadLetterFate, StoredDeadLetter};
use crate::registry::RegistryError;

/// Error: a step of the store did not happen. Nothing was changed.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such run.
    #[error("no run {run_id}")]
    NoRun {
        /// Id of the run.
        run_id: RunId,
    },
    /// The writer was superseded: it must stop its agent process.
    #[error("lease {epoch} of run {run_id} is not in force (lease {current} is)")]
    Fenced {
        /// Id of the run.
        run_id: RunId,
        /// The writer's lease.
        epoch: u64,
        /// The last lease.
        current: u64,
    },
    /// The journal does not end where the caller expected: load the run again.
    #[error("the journal of run {run_id} ends at {found}, not at {expected}")]
    Conflict {
        /// Id of the run.
        run_id: RunId,
        /// Number of the journal's last event that the caller expected.
        expected: u64,
        /// Number of the journal's last event.
        found: u64,
    },
    /// The run is terminal.
    #[error("run {run_id} is over")]
    Sealed {
        /// Id of the run.
        run_id: RunId,
    },
    /// The run is not terminal.
    #[error("run {run_id} is still live")]
    Live {
        /// Id of the run.
        run_id: RunId,
    },
    /// The idempotency key was used for a different request.
    #[error("the idempotency key {key:?} was used for run {run_id}, which does something else")]
    IdempotencyConflict {
        /// The key.
        key: String,
        /// Id of the run that used the key.
        run_id: RunId,
    },
    /// The run is no dead letter.
    #[error("run {run_id} is no dead letter")]
    NoDeadLetter {
        /// Id of the run.
        run_id: RunId,
    },
    /// The dead letter was redriven or discarded already.
    #[error("dead letter {} was {} already", letter.run_id, settled(&letter.fate))]
    Settled {
        /// The dead letter with its fate.
        letter: Box<StoredDeadLetter>,
    },
    /// A session was changed meanwhile.
    #[error("session {session_id:?} has revision {found}, not {seen}")]
    Revision {
        /// Id of the session.
        session_id: String,
        /// Revision that the caller had read.
        seen: u64,
        /// Present revision.
        found: u64,
    },
    /// A document has changed since it was read.
    #[error("the {kind} {key:?} was changed meanwhile")]
    DocumentChanged {
        /// Kind of the document.
        kind: &'static str,
        /// Name of the document.
        key: String,
    },
    /// A run to be imported is here already, with another journal.
    #[error("run {run_id} is here already, with another journal")]
    OtherJournal {
        /// Id of the run.
        run_id: RunId,
    },
    /// Another run has the turn in the session, and the refused run may not wait.
    #[error("run {run_id} has the turn in session {session_id:?}")]
    SessionBusy {
        /// Id of the session.
        session_id: String,
        /// Id of the run that has the turn.
        run_id: RunId,
    },
    /// A session is used by a run that is not over.
    #[error("run {run_id} uses session {session_id:?} and is not over")]
    SessionInUse {
        /// Id of the session.
        session_id: String,
        /// Id of the run that uses it.
        run_id: RunId,
    },
    /// A run's rows are inconsistent.
    #[error("run {run_id} is damaged in the registry: {reason}")]
    Damaged {
        /// Id of the run, as far as it can be read.
        run_id: String,
        /// Description of the fault.
        reason: String,
    },
    /// The registry was written by a newer program.
    #[error("the registry {path} has schema {found}; this program knows schema {known}", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Schema of the registry.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The registry is no SQLite database, or a broken one.
    #[error("the registry {path} is damaged: {reason}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Message of SQLite.
        reason: String,
    },
    /// There is no registry.
    #[error("no registry at {path}", path = path.display())]
    Missing {
        /// Path at which the registry was looked for.
        path: PathBuf,
    },
    /// The runs whose files are here are stored in the database of a server.
    #[error("the runs of {root} are in a database, and not in this folder", root = root.display())]
    Elsewhere {
        /// The registry's folder.
        root: PathBuf,
    },
    /// The database is gone, but the files of its runs are here: it can be rebuilt from them.
    #[error("the registry {path} is gone, but the files of its runs are here", path = path.display())]
    Lost {
        /// Path of the lost database.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no space left for the registry {path}", path = path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The registry may not be written.
    #[error("the registry {path} cannot be written", path = path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Other processes kept the registry busy for the whole of [`crate::sqlite::BUSY_LIMIT`].
    #[error("the registry {path} stayed busy", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Any other error of SQLite.
    #[error("the registry failed while it {doing}")]
    Database {
        /// Operation that failed.
        doing: &'static str,
        /// Error of SQLite.
        #[source]
        source: rusqlite::Error,
    },
    /// The URL of a database is invalid.
    #[error("the database's URL is wrong: {reason}")]
    Address {
        /// Description of the fault, without the password.
        reason: String,
    },
    /// The database has a schema of another program version, or one that has to be migrated first.
    #[error("the database has schema {found}; this program needs schema {known}")]
    OtherSchema {
        /// Schema of the database; 0: none.
        found: u32,
        /// Schema that this program needs.
        known: u32,
    },
    /// The database could not be reached for a while, or refused to answer for now.
    #[error("cannot reach {database}: {reason}")]
    Unreachable {
        /// Address of the database, without the password.
        database: String,
        /// Last error.
        reason: String,
    },
    /// Any other error of a PostgreSQL server.
    #[error("the database failed while it {doing}: {reason}")]
    Postgres {
        /// Operation that failed.
        doing: &'static str,
        /// Message of the server.
        reason: String,
    },
    /// The place in which the blobs are kept refused, or did not answer.
    #[error("cannot {doing} in {place}: {reason}")]
    BlobPlace {
        /// Kind of the fault.
        fault: BlobPlaceFault,
        /// Address of the place.
        place: String,
        /// Operation that failed, a verb.
        doing: &'static str,
        /// Answer of the place.
        reason: String,
    },
    /// An operation on a file beside the registry failed.
    #[error("cannot {doing} {path}", path = path.display())]
    File {
        /// Operation that failed, a verb.
        doing: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// A file beside the registry is not as it should be.
    #[error(transparent)]
    Beside(RegistryError),
    /// The writer thread is gone: a bug, or the process is ending.
    #[error("the registry's writer has ended")]
    WriterGone,
}

/// Fault of a place in which blobs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobPlaceFault {
    /// The address is no folder that can be made and no bucket.
    AddressInvalid,
    /// The registry keeps its blobs in another place.
    Elsewhere,
    /// The key is missing, unknown to the service, or expired.
    KeyInvalid,
    /// The key, or the user, may not do that.
    AccessDenied,
    /// The bucket does not exist.
    BucketMissing,
    /// The place does not have the folder of this registry: a disk is not mounted, or it is
    /// another place of the same name.
    FolderMissing,
    /// Nothing answers, or only errors that may pass.
    Unreachable,
    /// The connection ended while a blob was sent.
    UploadCut,
}

impl BlobPlaceFault {
    /// Returns the stable code of the fault.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::AddressInvalid => ErrorCode::BlobsAddressInvalid,
            Self::Elsewhere => ErrorCode::BlobsElsewhere,
            Self::KeyInvalid => ErrorCode::BlobsKeyInvalid,
            Self::AccessDenied => ErrorCode::BlobsAccessDenied,
            Self::BucketMissing => ErrorCode::BlobsBucketMissing,
            Self::FolderMissing => ErrorCode::BlobsFolderMissing,
            Self::Unreachable => ErrorCode::BlobsUnreachable,
            Self::UploadCut => ErrorCode::BlobsUploadCut,
        }
    }
}

impl Error {
    /// Returns true if another process was faster. The same step, decided again from a fresh load,
    /// may succeed.
    pub const fn is_race(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Sealed { .. } | Self::Conflict { .. })
    }

    /// Returns true if the same step may succeed later.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::Full { .. }
                | Self::ReadOnly { .. }
                // Gone until it is rebuilt from the files beside it.
                | Self::Missing { .. }
                // Away for longer than a call waits for it.
                | Self::Unreachable { .. }
                | Self::BlobPlace {
                    fault: BlobPlaceFault::Unreachable
                        | BlobPlaceFault::UploadCut
                        | BlobPlaceFault::FolderMissing,
                    ..
                }
                | Self::Lost { .. }
                | Self::Database { .. }
        )
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::File { doing, path, source } => Self::File { doing, path, source },
            RegistryError::Outside { .. }
            | RegistryError::NotAFile { .. }
            | RegistryError::TooLong { .. } => Self::Beside(error),
        }
    }
}

fn settled(fate: &DeadLetterFate) -> String {
    match fate {
        DeadLetterFate::Open => "touched".to_owned(),
        DeadLetterFate::Redriven { run_id, .. } => format!("redriven as run {run_id}"),
        DeadLetterFate::Discarded { by: Some(by), .. } => format!("discarded by {by}"),
        DeadLetterFate::Discarded { by: None, .. } => "discarded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_be_reached_may_be_back_later() {
        let away = Error::Unreachable {
            database: "postgres://somewhere".to_owned(),
            reason: "connection refused".to_owned(),
        };
        assert!(away.may_pass() && !away.is_race());
    }
}
