//! The bus, with real servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where its expectation does"
)]

mod conformance;
mod dispatcher;
mod faults;
mod redis;
