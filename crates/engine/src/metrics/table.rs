//! Metrics with their descriptions, in the order in which they are written.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::{Metric, Unit};

/// A table of metrics. A registry would add a full stop to each help text and leave out families
/// without a metric.
///
/// Names never change, since dashboards depend on them. Each ends with its unit, if it has one.
#[derive(Debug, Default)]
pub struct MetricTable(Vec<DescribedMetric>);

#[derive(Debug)]
struct DescribedMetric {
    name: &'static str,
    help: &'static str,
    metric: Box<dyn Metric>,
}

impl MetricTable {
    /// Adds a metric, and returns it. Clones of a metric share their values.
    pub fn add<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        self.0.push(DescribedMetric { name, help, metric: Box::new(metric.clone()) });
        metric
    }

    /// Adds a counter without labels, and returns it.
    pub fn count(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(name, help, Counter::default())
    }
}

impl Collector for MetricTable {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|DescribedMetric { name, help, metric }| {
            let (name, unit) = split(name);
            let kind = metric.metric_type();
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)
        })
    }
}

/// Splits a name into the part before the unit, and the unit.
fn split(name: &str) -> (&str, Option<Unit>) {
    match name.rsplit_once('_') {
        Some((name, "seconds")) => (name, Some(Unit::Seconds)),
        Some((name, "bytes")) => (name, Some(Unit::Bytes)),
        Some(_) | None => (name, None),
    }
}
