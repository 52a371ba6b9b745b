//! What happened in this process, in numbers: counted where it is committed.
//!
//! Plain counters that only grow; whoever renders them gives them names. Deliberately absent: what
//! a query to the registry can tell, such as the length of the queue.

mod bounded;
mod histogram;
mod metered;
mod saw;

use std::sync::atomic::{AtomicU64, Ordering};

use errand_model::run::Status;

pub use bounded::{Bounded, OTHER};
pub use histogram::{Histogram, SECONDS_LONG, SECONDS_SHORT, Snapshot};
pub(crate) use metered::Metered;

/// Agents of which durations are counted apart.
const AGENTS: usize = 200;
/// Models of which tokens are counted apart.
const MODELS: usize = 200;
/// Error codes that failed attempts are counted by.
const CODES: usize = 100;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How much it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened in this process.
#[derive(Debug)]
pub struct Metrics {
    /// Runs that were admitted.
    pub admitted: Counter,
    /// How often runs came to each status, by [`STATUSES`].
    pub transitions: [Counter; 6],
    /// How often runs went back into the queue, by reason.
    pub requeued: Bounded<&'static str, Counter>,
    /// Runs that became dead letters.
    pub dead_lettered: Counter,
    /// Attempts that began.
    pub attempts: Counter,
    /// Attempts that failed, by error code.
    pub attempts_failed: Bounded<String, Counter>,
    /// Seconds from the moment that a run could be claimed until it was.
    pub claim_latency: Histogram,
    /// Leases that this process lost while it held them.
    pub leases_lost: Counter,
    /// Leases that were renewed.
    pub leases_renewed: Counter,
    /// Leases that were taken from others, dead or too late.
    pub leases_taken: Counter,
    /// Seconds from admission to end, by agent and status.
    pub durations: Bounded<(String, &'static str), Histogram>,
    /// What calls used, by provider and model.
    pub models: Bounded<(String, String), ModelUse>,
    /// Tries to deliver a report of a run, by [`DELIVERIES`].
    pub deliveries: [Counter; 3],
    /// Seconds that the store took for what changes something.
    pub commits: Histogram,
    /// Changes that the store refused or could not make.
    pub commits_failed: Counter,
}

/// What calls of one model used.
#[derive(Debug, Default)]
pub struct ModelUse {
    /// Calls.
    pub calls: Counter,
    /// Tokens read.
    pub input: Counter,
    /// Of those, from a cache.
    pub cached: Counter,
    /// Tokens written.
    pub output: Counter,
    /// Of those, for reasoning.
    pub reasoning: Counter,
    /// What they cost, in millionths of a US dollar.
    pub micro_usd: Counter,
    /// Calls whose cost is not known.
    pub unpriced: Counter,
}

/// The statuses, in the order in which they are counted.
pub const STATUSES: [&str; 6] =
    ["pending", "running", "paused", "completed", "failed", "cancelled"];

/// What became of a try to deliver a report, in the order in which they are counted: its receiver has
/// it, it is tried again later, it is given up.
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

/// Where a status stands in [`STATUSES`].
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
