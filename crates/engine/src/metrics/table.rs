//! Metrics with their descriptions, in the order in which they are written.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::{Metric, Unit};

/// A table of metrics. A registry would add a full stop to each help text and leave out families
/// without a metric.
#[derive(Debug, Default)]
pub struct MetricTable(Vec<DescribedMetric>);

#[derive(Debug)]
struct DescribedMetric {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    metric: Box<dyn Metric>,
}

impl MetricTable {
    /// Adds a metric without a unit.
    pub fn add(&mut self, name: &'static str, help: &'static str, metric: impl Metric) {
        self.0.push(DescribedMetric { name, help, unit: None, metric: Box::new(metric) });
    }

    /// Adds a metric with a unit, with which its name ends.
    pub fn add_in(
        &mut self,
        unit: Unit,
        name: &'static str,
        help: &'static str,
        metric: impl Metric,
    ) {
        let unit = Some(unit);
        self.0.push(DescribedMetric { name, help, unit, metric: Box::new(metric) });
    }
}

impl Collector for MetricTable {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|DescribedMetric { name, help, unit, metric }| {
            let kind = metric.metric_type();
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)
        })
    }
}
