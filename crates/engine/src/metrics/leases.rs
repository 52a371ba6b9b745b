//! Counters of leases.

use errand_store::Renewed;
use prometheus_client::metrics::counter::Counter;

use super::MetricTable;

/// Counters of the leases of this process.
#[derive(Debug)]
pub(crate) struct LeaseMetrics {
    lost: Counter,
    renewed: Counter,
    taken_over: Counter,
}

impl LeaseMetrics {
    pub(super) fn new(table: &mut MetricTable) -> Self {
        Self {
            lost: table.count("errand_leases_lost", "Leases that this process held and lost"),
            renewed: table.count("errand_leases_renewed", "Leases that this process renewed"),
            taken_over: table
                .count("errand_leases_taken_over", "Leases taken from holders that were lost"),
        }
    }

    /// Counts a lease that was taken; one with an earlier holder, whose number is not 0, was taken
    /// over.
    pub(crate) fn taken(&self, seen_epoch: u64) {
        self.taken_over.inc_by(u64::from(seen_epoch > 0));
    }

    /// Counts the result of a renewal of `count` leases.
    pub(crate) fn renewed(&self, count: usize, renewed: &Renewed) {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let lost = renewed.lost.len();
        self.lost.inc_by(number(lost));
        self.renewed.inc_by(number(count.saturating_sub(lost)));
    }
}
