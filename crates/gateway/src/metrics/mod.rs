//! Counters of requests, and all metrics as text for Prometheus.

mod alone;
mod asked;
mod format;
mod http;
mod process;
mod render;

pub use alone::serve_metrics;

pub(crate) use asked::Asked;
pub(crate) use format::Format;
pub(crate) use http::Metrics;
pub(crate) use render::render;
