//! Gauges with values of one moment.

use std::sync::atomic::AtomicU64;

use errand_engine::metrics::Labels;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// A gauge of floats, as the format has them.
pub(super) type FloatGauge = Gauge<f64, AtomicU64>;

/// Returns a gauge for each set of labels.
pub(super) fn gauges<const N: usize>(
    values: impl IntoIterator<Item = (Labels<N>, f64)>,
) -> Family<Labels<N>, FloatGauge> {
    let family = Family::<Labels<N>, FloatGauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    family
}

/// Returns a gauge without labels.
pub(super) fn gauge(value: f64) -> FloatGauge {
    let gauge = FloatGauge::default();
    gauge.set(value);
    gauge
}

/// Converts a count for a gauge. Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "gauges of this format are floats")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
