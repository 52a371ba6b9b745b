//! Counters of requests.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use errand_engine::metrics::{BoundedFamily, MetricTable, short_durations};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// Upper bound on pairs of route and status; more than there are.
const ROUTES: usize = 2_000;

/// Counters of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Answers, by route and status.
    answers: BoundedFamily<2, Counter>,
    /// Seconds until the head of the response, by route.
    durations: BoundedFamily<1, Histogram>,
    /// Spans that the collector accepted.
    pub(crate) spans_sent: Counter,
    /// Traces that were dropped.
    pub(crate) traces_dropped: Counter,
    /// Streams that are open.
    streams: Gauge<f64, AtomicU64>,
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
        Self {
            answers: BoundedFamily::new(ROUTES, Counter::default),
            durations: BoundedFamily::new(ROUTES, short_durations),
            spans_sent: Counter::default(),
            traces_dropped: Counter::default(),
            streams: Gauge::default(),
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

    /// Adds all metrics to `table`. Names never change, since dashboards depend on them.
    pub(crate) fn describe(&self, table: &mut MetricTable) {
        table.add("errand_http_requests", "Answers by route and status", self.answers.family());
        table.add_in(
            Unit::Seconds,
            "errand_http_request_duration",
            "Until the head of the answer",
            self.durations.family(),
        );
        table.add("errand_otlp_spans_sent", "Spans that a collector took", self.spans_sent.clone());
        table.add(
            "errand_otlp_traces_dropped",
            "Traces of runs that were given up",
            self.traces_dropped.clone(),
        );
        table.add("errand_http_streams", "Streams of events that are open", self.streams.clone());
    }
}
