//! What is counted of requests, and how all that is counted is rendered for Prometheus.

mod alone;
mod http;
mod process;
mod render;

pub use alone::serve_metrics;

pub(crate) use alone::MEDIA_TYPE;
pub(crate) use http::Metrics;
pub(crate) use render::render;
