//! Hearing that something was committed, without asking again and again.

use errand_model::RunId;
use tokio::sync::broadcast;

/// What was committed. Hints, not records: one may come twice, late or not at all, so whoever
/// listens also looks by itself now and then. A receiver that lags has missed some: it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run's journal grew.
    Run {
        /// Which.
        run_id: RunId,
        /// The number of its last event.
        seq: u64,
        /// Whether the run is over with it.
        is_over: bool,
    },
    /// Runs wait for a worker, or a worker that could not take one may now.
    Queued,
    /// Something is asked of whoever holds a run's lease.
    Asked {
        /// Which run.
        run_id: RunId,
    },
    /// Another process committed something; what, is not known.
    Elsewhere,
}

/// Where changes are heard.
pub type Changes = broadcast::Receiver<Change>;

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const CHANGES_LIMIT: usize = 4_096;
