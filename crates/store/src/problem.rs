//! What is wrong with a registry, in words and as data.

use std::path::PathBuf;

use errand_model::{Broken, RunId};
use thiserror::Error;

use crate::SnapshotError;
use crate::registry::RegistryError;

/// What was found by going through a whole registry.
#[derive(Debug, Default)]
pub struct Report {
    /// Runs that were looked at, or restored.
    pub runs: u64,
    /// Sessions that were looked at, or restored.
    pub sessions: u64,
    /// Keys, agents, schedules, hooks, callbacks and entries of the audit log that a rebuild brought
    /// over from the old registry.
    pub definitions: u64,
    /// Why some of them may be missing, if they may.
    pub definitions_lost: Option<String>,
    /// What is wrong, run by run; empty if all is well.
    pub problems: Vec<Problem>,
    /// What was wrong, and was mended.
    pub mended: Vec<Problem>,
}

/// One thing that is wrong. The others are not concerned by it.
#[derive(Debug, Error)]
pub enum Problem {
    /// SQLite finds its file damaged.
    #[error("the database: {reason}")]
    Database {
        /// What it says.
        reason: String,
    },
    /// Commits of this registry are not durable.
    #[error("the database is not set to durable commits: {found}")]
    NotDurable {
        /// Its settings.
        found: String,
    },
    /// A line of a journal's file is no event.
    #[error("{path}: line {line} is no event: {reason}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A line of a journal's file belongs to another run.
    #[error("{path}: line {line} is of run {of}", path = path.display())]
    ForeignLine {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Whose it is.
        of: RunId,
    },
    /// A journal does not hold together.
    #[error("the journal of run {run_id}: {broken}")]
    Chain {
        /// Which run.
        run_id: RunId,
        /// Where it breaks.
        broken: Broken,
    },
    /// A run has files, and no event that says what it is.
    #[error("run {run_id} has files, but no event that can be read: it is not restored")]
    NoJournal {
        /// Which run.
        run_id: RunId,
    },
    /// A journal holds together but makes no sense.
    #[error("the journal of run {run_id} cannot be folded: {reason}")]
    Fold {
        /// Which run.
        run_id: RunId,
        /// Why.
        reason: String,
    },
    /// What lists show of a run is not what its journal says.
    #[error("run {run_id} is not as its journal says: {what}")]
    Projection {
        /// Which run.
        run_id: String,
        /// What differs.
        what: String,
    },
    /// A run's file lacks events that the registry has.
    #[error("{missing} events of run {run_id} are not in its file")]
    FileBehind {
        /// Which run.
        run_id: RunId,
        /// How many.
        missing: u64,
    },
    /// A run's file has all events, and not in their order.
    #[error("the events of run {run_id} are not in order in its file")]
    FileDisordered {
        /// Which run.
        run_id: RunId,
    },
    /// A run's file has another event than the registry.
    #[error("event {seq} of run {run_id} is another one in its file")]
    FileDiffers {
        /// Which run.
        run_id: RunId,
        /// The first event that differs.
        seq: u64,
    },
    /// A run has files, and the registry does not know it.
    #[error("run {run_id} has files, but the registry does not know it")]
    Unknown {
        /// Which run.
        run_id: RunId,
    },
    /// A run could not be put into the new registry.
    #[error("run {run_id} cannot be restored: {reason}")]
    NotRestored {
        /// Which run.
        run_id: RunId,
        /// Why.
        reason: String,
    },
    /// A session's file cannot be used.
    #[error("{path} is no session's state: {reason}", path = path.display())]
    Session {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something lies there that errand did not write.
    #[error("{path} is no file of errand's", path = path.display())]
    ForeignFile {
        /// What.
        path: PathBuf,
    },
    /// A terminal snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] RegistryError),
}
