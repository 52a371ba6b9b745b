//! Counters of this process, incremented where changes are committed.
//!
//! Counters only grow. Deliberately absent: facts that a query to the registry can tell, such as
//! the length of the queue.

mod bounded;
mod committed;
mod describe;
mod table;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

pub use bounded::{BoundedFamily, Labels, OTHER};
pub use table::MetricTable;

/// Agents with a duration histogram of their own.
const AGENTS: usize = 200;
/// Models with token counters of their own.
const MODELS: usize = 200;
/// Error codes with a counter of their own.
const CODES: usize = 100;

/// Bounds for durations of milliseconds, in seconds.
const SECONDS_SHORT: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 60.0,
];
/// Bounds for durations of seconds to hours, in seconds.
const SECONDS_LONG: [f64; 12] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// Counters of this process.
#[derive(Debug)]
pub struct Metrics {
    /// Admitted runs.
    admitted: Counter,
    /// Transitions of runs, by status.
    transitions: Family<Labels<1>, Counter>,
    /// Returns of runs to the queue, by reason.
    requeued: Family<Labels<1>, Counter>,
    /// Runs that became dead letters.
    dead_lettered: Counter,
    /// Attempts that began.
    attempts: Counter,
    /// Failed attempts, by error code.
    attempts_failed: BoundedFamily<1, Counter>,
    /// Seconds from the moment that a run could be claimed until it was.
    claim_latency: Histogram,
    /// Leases that this process lost while it held them.
    leases_lost: Counter,
    /// Renewed leases.
    leases_renewed: Counter,
    /// Leases taken over from other holders, dead or too late.
    leases_taken: Counter,
    /// Seconds from admission to end, by agent and status.
    durations: BoundedFamily<2, Histogram>,
    /// Model calls, by provider and model.
    calls: BoundedFamily<2, Counter>,
    /// Tokens of model calls, by provider, model and kind.
    tokens: BoundedFamily<3, Counter>,
    /// Cost of model calls in millionths of a US dollar, by provider and model.
    micro_usd: BoundedFamily<2, Counter>,
    /// Model calls of unknown cost, by provider and model.
    unpriced: BoundedFamily<2, Counter>,
    /// Tries to deliver a report of a run, by outcome.
    deliveries: Family<Labels<1>, Counter>,
    /// Seconds that the store took for a change.
    pub(crate) commits: Histogram,
    /// Changes that the store refused or failed to make.
    pub(crate) commits_failed: Counter,
}

/// Statuses of runs.
const STATUSES: [&str; 6] = ["pending", "running", "paused", "completed", "failed", "cancelled"];

/// Results of a delivery try: delivered, to be tried again, given up.
const DELIVERIES: [&str; 3] = ["delivered", "failed", "abandoned"];

/// Kinds of tokens. Input contains cached input, output reasoning output.
const TOKENS: [&str; 4] = ["input", "cached_input", "output", "reasoning_output"];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            admitted: Counter::default(),
            transitions: with_each("status", STATUSES),
            requeued: Family::default(),
            dead_lettered: Counter::default(),
            attempts: Counter::default(),
            attempts_failed: BoundedFamily::new(CODES, Counter::default),
            claim_latency: short_durations(),
            leases_lost: Counter::default(),
            leases_renewed: Counter::default(),
            leases_taken: Counter::default(),
            durations: BoundedFamily::new(AGENTS * 3, || Histogram::new(SECONDS_LONG)),
            calls: BoundedFamily::new(MODELS, Counter::default),
            tokens: BoundedFamily::new(MODELS * TOKENS.len(), Counter::default),
            micro_usd: BoundedFamily::new(MODELS, Counter::default),
            unpriced: BoundedFamily::new(MODELS, Counter::default),
            deliveries: with_each("outcome", DELIVERIES),
            commits: short_durations(),
            commits_failed: Counter::default(),
        }
    }
}

/// Returns an empty histogram for durations of milliseconds.
pub fn short_durations() -> Histogram {
    Histogram::new(SECONDS_SHORT)
}

/// Returns a family that has a counter for each of the values from the beginning.
fn with_each<const N: usize>(
    label: &'static str,
    values: [&'static str; N],
) -> Family<Labels<1>, Counter> {
    let family = Family::<Labels<1>, Counter>::default();
    for value in values {
        drop(family.get_or_create(&[(label, value.into())]));
    }
    family
}
