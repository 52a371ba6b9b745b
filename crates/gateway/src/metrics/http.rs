//! Counters of requests.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use errand_engine::metrics::{BoundedFamily, MetricTable, short_durations};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bound on pairs of route and status; more than there are.
const ROUTES: usize = 2_000;

/// Counters of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    answers: BoundedFamily<2, Counter>,
    durations: BoundedFamily<1, Histogram>,
    pub(crate) spans_sent: Counter,
    pub(crate) traces_dropped: Counter,
    streams: Gauge<f64, AtomicU64>,
    table: MetricTable,
}

/// Guard of an open stream.
#[derive(Debug)]
pub(crate) struct Open(Gauge<f64, AtomicU64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut table = MetricTable::default();
        Self {
            answers: table.add(
                "errand_http_requests",
                "Answers by route and status",
                BoundedFamily::new(ROUTES, Counter::default),
            ),
            durations: table.add(
                "errand_http_request_duration_seconds",
                "Until the head of the answer",
                BoundedFamily::new(ROUTES, short_durations),
            ),
            spans_sent: table.count("errand_otlp_spans_sent", "Spans that a collector took"),
            traces_dropped: table
                .count("errand_otlp_traces_dropped", "Traces of runs that were given up"),
            streams: table.add(
                "errand_http_streams",
                "Streams of events that are open",
                Gauge::default(),
            ),
            table,
        }
    }
}

impl Metrics {
    /// Counts a response.
    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        let route = ("route", route.into());
        self.answers.of([route.clone(), ("status", status.to_string().into())]).inc();
        self.durations.of([route]).observe(took.as_secs_f64());
    }

    /// Counts a stream for the lifetime of the returned guard.
    pub(crate) fn open(&self) -> Open {
        self.streams.inc();
        Open(self.streams.clone())
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.table.encode(encoder)
    }
}
