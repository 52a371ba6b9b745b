//! Counters of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use errand_engine::metrics::{Bounded, Counter, Histogram, SECONDS_SHORT};

/// Upper bound on pairs of route and status; more than there are.
const ROUTES: usize = 2_000;

/// Counters of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Answers, by route and status.
    pub(crate) answers: Bounded<(String, String), Counter>,
    /// Seconds until the head of the response, by route.
    pub(crate) durations: Bounded<&'static str, Histogram>,
    /// Spans that the collector accepted.
    pub(crate) spans_sent: Counter,
    /// Traces that were dropped.
    pub(crate) traces_dropped: Counter,
    /// Streams that are open.
    streams: Arc<AtomicU64>,
}

/// Guard of an open stream.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicU64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            answers: Bounded::new(ROUTES),
            durations: Bounded::new(ROUTES),
            spans_sent: Counter::default(),
            traces_dropped: Counter::default(),
            streams: Arc::default(),
        }
    }
}

impl Metrics {
    /// Counts a response.
    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        let name = (route.to_owned(), status.to_string());
        self.answers.of(name, Counter::default).add(1);
        self.durations.of(route, || Histogram::new(SECONDS_SHORT)).observe(took);
    }

    /// Counts a stream for the lifetime of the returned guard.
    pub(crate) fn open(&self) -> Open {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.streams))
    }

    /// Returns the number of open streams.
    pub(crate) fn streaming(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }
}
