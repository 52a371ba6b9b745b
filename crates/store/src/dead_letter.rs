//! Dead letters: failed runs without attempts left, and their fates.

use errand_model::{RunId, Timestamp};

use crate::Namespaces;

/// A failed run without attempts left. The published `DeadLetter` lays the fate out in three
/// fields, of which the stored one allows only the combinations that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// Id of the run.
    pub run_id: RunId,
    /// The run's name, where it has one.
    pub name: Option<String>,
    /// The agent's name.
    pub agent: String,
    /// Time at which the last attempt failed.
    pub at: Timestamp,
    /// Number of attempts made.
    pub attempts: u32,
    /// The last error's code.
    pub code: String,
    /// The last error in one line.
    pub message: String,
    /// The step at which the last attempt failed; `None`: outside of any step.
    pub step: Option<String>,
    /// Fate of the dead letter.
    pub fate: DeadLetterFate,
}

/// Fate of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterFate {
    /// Unsettled.
    Open,
    /// A new run repeats it; the latest one, if several do.
    Redriven {
        /// Id of the new run.
        run_id: RunId,
        /// Time of the redrive.
        at: Timestamp,
    },
    /// A person decided not to redrive it.
    Discarded {
        /// Time of the decision.
        at: Timestamp,
        /// Person who decided, if known.
        by: Option<String>,
    },
}

/// Filter of dead letters. All given conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Namespaces whose runs are selected.
    pub namespaces: Namespaces,
    /// Redriven and discarded ones too.
    pub settled: bool,
    /// Limits the list to this run.
    pub run_id: Option<RunId>,
    /// Limits the list to runs of this agent.
    pub agent: Option<String>,
    /// Limits the list to runs whose last error has this code.
    pub code: Option<String>,
    /// Limits the list to runs that failed at this time or later.
    pub since: Option<Timestamp>,
    /// Limits the list to runs that failed before this time.
    pub before: Option<Timestamp>,
}

/// Decision not to redrive a dead letter.
#[derive(Clone, Debug)]
pub struct Discard {
    /// Id of the run.
    pub run_id: RunId,
    /// Person who decides, if known.
    pub by: Option<String>,
    /// Time of the decision.
    pub at: Timestamp,
}
