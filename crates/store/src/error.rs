//! What can go wrong in a store.

use std::path::PathBuf;

use errand_model::RunId;
use thiserror::Error;

use crate::dead_letter::{DeadLetter, Fate};
use crate::registry::RegistryError;

/// Why a step of the store did not happen. Nothing of it did.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such run.
    #[error("no run {run_id}")]
    NoRun {
        /// Which.
        run_id: RunId,
    },
    /// The writer was superseded: whatever it supervises must stop.
    #[error("lease {epoch} of run {run_id} is not in force (lease {current} is)")]
    Fenced {
        /// Which run.
        run_id: RunId,
        /// The writer's lease.
        epoch: u64,
        /// The last lease.
        current: u64,
    },
    /// The journal does not end where the caller believed: load the run again.
    #[error("the journal of run {run_id} ends at {found}, not at {expected}")]
    Conflict {
        /// Which run.
        run_id: RunId,
        /// Where the caller believed it ends.
        expected: u64,
        /// Where it ends.
        found: u64,
    },
    /// The run is terminal.
    #[error("run {run_id} is over")]
    Sealed {
        /// Which run.
        run_id: RunId,
    },
    /// The run is not terminal.
    #[error("run {run_id} is still live")]
    Live {
        /// Which run.
        run_id: RunId,
    },
    /// The idempotency key was used for a different request.
    #[error("the idempotency key {key:?} was used for run {run_id}, which does something else")]
    IdempotencyConflict {
        /// The key.
        key: String,
        /// Whose it is.
        run_id: RunId,
    },
    /// The run is no dead letter.
    #[error("run {run_id} is no dead letter")]
    NoDeadLetter {
        /// Which run.
        run_id: RunId,
    },
    /// The dead letter was redriven or discarded already.
    #[error("dead letter {} was {} already", letter.run_id, settled(&letter.fate))]
    Settled {
        /// As it is.
        letter: Box<DeadLetter>,
    },
    /// A session was changed meanwhile.
    #[error("session {session_id:?} has revision {found}, not {seen}")]
    Revision {
        /// Which session.
        session_id: String,
        /// What the caller had seen.
        seen: u64,
        /// What it is.
        found: u64,
    },
    /// A document is not what it was when it was looked at.
    #[error("the {kind} {key:?} was changed meanwhile")]
    DocumentChanged {
        /// What it is about.
        kind: &'static str,
        /// Its name.
        key: String,
    },
    /// A run that is to be taken in is here already, with another journal.
    #[error("run {run_id} is here already, with another journal")]
    OtherJournal {
        /// Which run.
        run_id: RunId,
    },
    /// Another run has the turn in the session, and this one is not to wait.
    #[error("run {run_id} has the turn in session {session_id:?}")]
    SessionBusy {
        /// Which session.
        session_id: String,
        /// Who has the turn.
        run_id: RunId,
    },
    /// A session is used by a run that is not over.
    #[error("run {run_id} uses session {session_id:?} and is not over")]
    SessionInUse {
        /// Which session.
        session_id: String,
        /// Who uses it.
        run_id: RunId,
    },
    /// A run's rows do not make sense.
    #[error("run {run_id} is damaged in the registry: {reason}")]
    Damaged {
        /// Which run, as far as it can be read.
        run_id: String,
        /// What is wrong.
        reason: String,
    },
    /// The registry was written by a newer program.
    #[error("the registry {path} has schema {found}; this program knows schema {known}", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// The registry is no SQLite database, or a broken one.
    #[error("the registry {path} is damaged: {reason}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// There is no registry.
    #[error("no registry at {path}", path = path.display())]
    Missing {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The runs whose files are here are in a database of a server.
    #[error("the runs of {root} are in a database, and not in this folder", root = root.display())]
    Elsewhere {
        /// The registry's folder.
        root: PathBuf,
    },
    /// The database is gone, but the files of its runs are here: it can be rebuilt from them.
    #[error("the registry {path} is gone, but the files of its runs are here", path = path.display())]
    Lost {
        /// Where the database was.
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
    /// Others kept the registry busy for the whole of [`crate::sqlite::BUSY_LIMIT`].
    #[error("the registry {path} stayed busy", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else of the database.
    #[error("the registry failed while it {doing}")]
    Database {
        /// What it did.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// The URL of a database is none.
    #[error("the database's URL is wrong: {reason}")]
    Address {
        /// What is wrong; never the password.
        reason: String,
    },
    /// A database that another program changed, or that this one has to change first.
    #[error("the database has schema {found}; this program needs schema {known}")]
    OtherSchema {
        /// Its schema; 0: none.
        found: u32,
        /// What this program needs.
        known: u32,
    },
    /// The database could not be reached for a while, or refused to answer for now.
    #[error("cannot reach {database}: {reason}")]
    Unreachable {
        /// Where it is, without the password.
        database: String,
        /// What happened last.
        reason: String,
    },
    /// Anything else of a database server.
    #[error("the database failed while it {doing}: {reason}")]
    Postgres {
        /// What it did.
        doing: &'static str,
        /// What the server says.
        reason: String,
    },
    /// A file beside the registry.
    #[error("cannot {doing} {path}", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file beside the registry that is not what it should be.
    #[error(transparent)]
    Beside(RegistryError),
    /// The writer thread is gone: a bug, or the process is ending.
    #[error("the registry's writer has ended")]
    WriterGone,
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

fn settled(fate: &Fate) -> String {
    match fate {
        Fate::Open => "touched".to_owned(),
        Fate::Redriven { run_id, .. } => format!("redriven as run {run_id}"),
        Fate::Discarded { by: Some(by), .. } => format!("discarded by {by}"),
        Fate::Discarded { by: None, .. } => "discarded".to_owned(),
    }
}
