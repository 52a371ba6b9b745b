//! Families of metrics with a bound on the number of label sets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Value that stands for all values beyond the bound.
pub const OTHER: &str = "_other";

/// Labels of a metric. Borrowed values are one of a few that this program knows; there is no bound
/// on the number of owned ones.
pub type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// A family whose label sets beyond the bound share one metric.
#[derive(Clone, Debug)]
pub struct BoundedFamily<const N: usize, M> {
    limit: usize,
    /// Number of calls that found a label set new: an upper bound of the label sets in `family`.
    used: Arc<AtomicUsize>,
    family: Family<Labels<N>, M>,
}

impl<const N: usize, M: Clone> BoundedFamily<N, M> {
    /// Returns an empty family for at most `limit` label sets and their substitutes; `make` creates
    /// a metric at its first use.
    pub fn new(limit: usize, make: fn() -> M) -> Self {
        let family = Family::new_with_constructor(make);
        Self { limit, used: Arc::default(), family }
    }

    /// Returns the metric with these labels. Beyond the bound, owned values are replaced by
    /// [`OTHER`].
    pub fn of(&self, labels: Labels<N>) -> M {
        if let Some(metric) = self.family.get(&labels) {
            return metric.clone();
        }
        let has_place = self.used.fetch_add(1, Ordering::Relaxed) < self.limit;
        let labels = if has_place { labels } else { labels.map(substitute) };
        self.family.get_or_create_owned(&labels)
    }
}

impl<const N: usize, M: EncodeMetric + TypedMetric> EncodeMetric for BoundedFamily<N, M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.family.metric_type()
    }
}

fn substitute(
    (label, value): (&'static str, Cow<'static, str>),
) -> (&'static str, Cow<'static, str>) {
    match value {
        Cow::Borrowed(_) => (label, value),
        Cow::Owned(_) => (label, Cow::Borrowed(OTHER)),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn label_sets_beyond_the_limit_are_counted_together() {
        let bounded = BoundedFamily::new(2, Counter::<u64>::default);
        let labels = |agent: &str| [("agent", agent.to_owned().into()), ("status", "done".into())];
        for agent in ["a", "b", "c", "d", "a"] {
            bounded.of(labels(agent)).inc();
        }
        let count = |agent: &str| bounded.family.get(&labels(agent)).map(|counter| counter.get());
        assert_eq!(["a", "b", "c", OTHER].map(count), [Some(2), Some(1), None, Some(2)]);
    }
}
