//! What is counted of requests, and how all that is counted is rendered for Prometheus.

mod http;
mod process;
mod render;

pub(crate) use http::Metrics;
pub(crate) use render::render;
