//! Counters of this process, incremented where changes are committed.
//!
//! Counters only grow. Deliberately absent: facts that a query to the registry can tell, such as
//! the length of the queue.

mod bounded;
mod committed;
mod leases;
mod models;
mod table;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

pub use bounded::{BoundedFamily, Labels, OTHER};
use leases::LeaseMetrics;
use models::ModelMetrics;
pub use table::MetricTable;

/// Agents with a duration histogram of their own.
const AGENTS: usize = 200;
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
    admitted: Counter,
    /// By status.
    transitions: Family<Labels<1>, Counter>,
    /// By reason.
    requeued: Family<Labels<1>, Counter>,
    dead_lettered: Counter,
    /// By agent and status.
    durations: BoundedFamily<2, Histogram>,
    claim_latency: Histogram,
    attempts: Counter,
    /// By error code.
    attempts_failed: BoundedFamily<1, Counter>,
    pub(crate) leases: LeaseMetrics,
    models: ModelMetrics,
    /// By outcome.
    deliveries: Family<Labels<1>, Counter>,
    pub(crate) commits: Histogram,
    pub(crate) commits_failed: Counter,
    table: MetricTable,
}

/// Statuses of runs.
const STATUSES: [&str; 6] = ["pending", "running", "paused", "completed", "failed", "cancelled"];

/// Outcome of a try to deliver a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    /// The receiver took the report.
    Delivered,
    /// The report will be tried again.
    Failed,
    /// The report is given up.
    Abandoned,
}

impl DeliveryOutcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Abandoned];

    /// Returns the value of the label `outcome`.
    const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut table = MetricTable::default();
        let to = &mut table;
        Self {
            admitted: to.count("errand_runs_admitted", "Runs that were admitted"),
            transitions: to.add(
                "errand_runs_transitions",
                "How often runs came to a status",
                with_each("status", STATUSES),
            ),
            requeued: to.add(
                "errand_runs_requeued",
                "How often runs went back into the queue",
                Family::default(),
            ),
            dead_lettered: to.count("errand_runs_dead_lettered", "Runs whose attempts are spent"),
            durations: to.add(
                "errand_run_duration_seconds",
                "From admission to the end of a run",
                BoundedFamily::new(AGENTS * 3, || Histogram::new(SECONDS_LONG)),
            ),
            claim_latency: to.add(
                "errand_claim_latency_seconds",
                "From when a run could be claimed until it was",
                short_durations(),
            ),
            attempts: to.count("errand_attempts_started", "Attempts that began"),
            attempts_failed: to.add(
                "errand_attempts_failed",
                "Attempts that failed, by error code",
                BoundedFamily::new(CODES, Counter::default),
            ),
            leases: LeaseMetrics::new(to),
            models: ModelMetrics::new(to),
            deliveries: to.add(
                "errand_webhook_deliveries",
                "Tries to report a run to its callback address",
                with_each("outcome", DeliveryOutcome::ALL.map(DeliveryOutcome::word)),
            ),
            commits: to.add(
                "errand_store_commit_seconds",
                "Duration of a commit of the store, synced to disk or not",
                short_durations(),
            ),
            commits_failed: to.count(
                "errand_store_commits_failed",
                "Changes that the store refused or could not make",
            ),
            table,
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.table.encode(encoder)
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
