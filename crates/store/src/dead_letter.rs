//! Failed runs whose attempts are spent, and what became of them.

use errand_model::{RunId, Timestamp};

use crate::Namespaces;

/// A failed run whose attempts are spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which run.
    pub run_id: RunId,
    /// The run's name, where it has one.
    pub name: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// When the last attempt failed.
    pub at: Timestamp,
    /// How many attempts were made.
    pub attempts: u32,
    /// The last error's code.
    pub code: String,
    /// The last error in one line.
    pub message: String,
    /// The step at which the last attempt failed; `None`: at none.
    pub step: Option<String>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// A run does it again; the last one, if several do.
    Redriven {
        /// Which.
        run_id: RunId,
        /// Since when.
        at: Timestamp,
    },
    /// Somebody does not want it done again.
    Discarded {
        /// When.
        at: Timestamp,
        /// Who, where that is known.
        by: Option<String>,
    },
}

/// Which dead letters to list. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Whose runs.
    pub namespaces: Namespaces,
    /// Also those that were redriven or discarded.
    pub settled: bool,
    /// Only that run.
    pub run_id: Option<RunId>,
    /// Only runs of the agent of that name.
    pub agent: Option<String>,
    /// Only runs whose last error has that code.
    pub code: Option<String>,
    /// Only runs that died at that moment or later.
    pub since: Option<Timestamp>,
    /// Only runs that died before.
    pub before: Option<Timestamp>,
}

/// Somebody does not want a dead letter done again.
#[derive(Clone, Debug)]
pub struct Discard {
    /// Which.
    pub run_id: RunId,
    /// Who, where that is known.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
}
