//! Counters of requests, and the formats of a scrape.

mod format;
mod http;

pub(crate) use format::Format;
pub(crate) use http::Metrics;
