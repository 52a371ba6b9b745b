//! Counters of this process, incremented where changes are committed.
//!
//! Counters only grow; a renderer gives them names. Deliberately absent: facts that a query to the
//! registry can tell, such as the length of the queue.

mod bounded;
mod histogram;
mod metered;
mod saw;

use std::sync::atomic::{AtomicU64, Ordering};

use errand_model::run::Status;

pub use bounded::{Bounded, OTHER};
pub use histogram::{Histogram, SECONDS_LONG, SECONDS_SHORT, Snapshot};
pub(crate) use metered::Metered;

/// Agents with a duration histogram of their own.
const AGENTS: usize = 200;
/// Models with token counters of their own.
const MODELS: usize = 200;
/// Error codes with a counter of their own.
const CODES: usize = 100;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns the present count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of this process.
#[derive(Debug)]
pub struct Metrics {
    /// Admitted runs.
    pub admitted: Counter,
    /// Transitions of runs to each status, in the order of [`STATUSES`].
    pub transitions: [Counter; 6],
    /// Returns of runs to the queue, by reason.
    pub requeued: Bounded<&'static str, Counter>,
    /// Runs that became dead letters.
    pub dead_lettered: Counter,
    /// Attempts that began.
    pub attempts: Counter,
    /// Failed attempts, by error code.
    pub attempts_failed: Bounded<String, Counter>,
    /// Seconds from the moment that a run could be claimed until it was.
    pub claim_latency: Histogram,
    /// Leases that this process lost while it held them.
    pub leases_lost: Counter,
    /// Renewed leases.
    pub leases_renewed: Counter,
    /// Leases taken over from other holders, dead or too late.
    pub leases_taken: Counter,
    /// Seconds from admission to end, by agent and status.
    pub durations: Bounded<(String, &'static str), Histogram>,
    /// Usage of model calls, by provider and model.
    pub models: Bounded<(String, String), ModelUse>,
    /// Tries to deliver a report of a run, in the order of [`DELIVERIES`].
    pub deliveries: [Counter; 3],
    /// Seconds that the store took for a change.
    pub commits: Histogram,
    /// Changes that the store refused or failed to make.
    pub commits_failed: Counter,
}

/// Usage of calls of one model.
#[derive(Debug, Default)]
pub struct ModelUse {
    /// Calls.
    pub calls: Counter,
    /// Input tokens.
    pub input: Counter,
    /// Input tokens from a cache.
    pub cached: Counter,
    /// Output tokens.
    pub output: Counter,
    /// Output tokens for reasoning.
    pub reasoning: Counter,
    /// Cost in millionths of a US dollar.
    pub micro_usd: Counter,
    /// Calls of unknown cost.
    pub unpriced: Counter,
}

/// Statuses, in the order in which they are counted.
pub const STATUSES: [&str; 6] =
    ["pending", "running", "paused", "completed", "failed", "cancelled"];

/// Results of a delivery try, in the order in which they are counted: delivered, to be tried again,
/// given up.
pub const DELIVERIES: [&str; 3] = ["delivered", "failed", "abandoned"];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            admitted: Counter::default(),
            transitions: Default::default(),
            requeued: Bounded::new(CODES),
            dead_lettered: Counter::default(),
            attempts: Counter::default(),
            attempts_failed: Bounded::new(CODES),
            claim_latency: Histogram::new(SECONDS_SHORT),
            leases_lost: Counter::default(),
            leases_renewed: Counter::default(),
            leases_taken: Counter::default(),
            durations: Bounded::new(AGENTS * 3),
            models: Bounded::new(MODELS),
            deliveries: Default::default(),
            commits: Histogram::new(SECONDS_SHORT),
            commits_failed: Counter::default(),
        }
    }
}

/// Returns the index of a status in [`STATUSES`].
const fn place(status: &Status) -> usize {
    match status {
        Status::Pending { .. } => 0,
        Status::Running { .. } => 1,
        Status::Paused { .. } => 2,
        Status::Completed { .. } => 3,
        Status::Failed { .. } => 4,
        Status::Cancelled { .. } => 5,
    }
}
