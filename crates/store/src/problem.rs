//! Problems of a registry, as text and as data.

use std::path::PathBuf;

use errand_model::{Broken, RunId};
use thiserror::Error;

use crate::SnapshotError;
use crate::registry::RegistryError;

/// Result of a check or a rebuild of a whole registry.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Runs that were checked or restored.
    pub runs: u64,
    /// Sessions that were checked or restored.
    pub sessions: u64,
    /// Keys, agents, schedules, hooks, callbacks and audit entries that a rebuild took over from
    /// the old registry.
    pub definitions: u64,
    /// Reason why some definitions may be missing; `None`: all were taken over.
    pub definitions_lost: Option<String>,
    /// Problems, run by run; empty if there are none.
    pub problems: Vec<StoreProblem>,
    /// Problems that were repaired.
    pub mended: Vec<StoreProblem>,
}

/// A single problem. Others are independent of it.
#[derive(Debug, Error)]
pub enum StoreProblem {
    /// SQLite reports its file as damaged.
    #[error("the database: {reason}")]
    Database {
        /// Message of SQLite.
        reason: String,
    },
    /// Commits of this registry are not durable.
    #[error("the database is not set to durable commits: {found}")]
    NotDurable {
        /// Settings of the database.
        found: String,
    },
    /// A line of a journal's file is no event.
    #[error("{path}: line {line} is no event: {reason}", path = path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Reason why it is none.
        reason: String,
    },
    /// A line of a journal's file belongs to another run.
    #[error("{path}: line {line} is of run {of}", path = path.display())]
    ForeignLine {
        /// Path of the file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Id of the run to which it belongs.
        of: RunId,
    },
    /// A journal's hash chain is broken.
    #[error("the journal of run {run_id}: {broken}")]
    Chain {
        /// Id of the run.
        run_id: RunId,
        /// The first broken link.
        broken: Broken,
    },
    /// A run has files but no events.
    #[error("run {run_id} has files, but no event that can be read: it is not restored")]
    NoJournal {
        /// Id of the run.
        run_id: RunId,
    },
    /// A journal's chain is intact, but its events do not fold.
    #[error("the journal of run {run_id} cannot be folded: {reason}")]
    Fold {
        /// Id of the run.
        run_id: RunId,
        /// Description of the fault.
        reason: String,
    },
    /// A run's row differs from its journal.
    #[error("run {run_id} is not as its journal says: {what}")]
    Projection {
        /// Id of the run.
        run_id: String,
        /// Name of the difference.
        what: String,
    },
    /// A run's file lacks events of the registry.
    #[error("{missing} events of run {run_id} are not in its file")]
    FileBehind {
        /// Id of the run.
        run_id: RunId,
        /// Number of missing events.
        missing: u64,
    },
    /// A run's file has all events, but not in order.
    #[error("the events of run {run_id} are not in order in its file")]
    FileDisordered {
        /// Id of the run.
        run_id: RunId,
    },
    /// A run's file has another event than the registry.
    #[error("event {seq} of run {run_id} is another one in its file")]
    FileDiffers {
        /// Id of the run.
        run_id: RunId,
        /// The first event that differs.
        seq: u64,
    },
    /// A run has files, but no row in the registry.
    #[error("run {run_id} has files, but the registry does not know it")]
    Unknown {
        /// Id of the run.
        run_id: RunId,
    },
    /// A run could not be put into the new registry.
    #[error("run {run_id} cannot be restored: {reason}")]
    NotRestored {
        /// Id of the run.
        run_id: RunId,
        /// Error of the write.
        reason: String,
    },
    /// A session's file cannot be used.
    #[error("{path} is no session's state: {reason}", path = path.display())]
    Session {
        /// Path of the file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// A file that errand did not write.
    #[error("{path} is no file of errand's", path = path.display())]
    ForeignFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// A terminal snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] RegistryError),
}
