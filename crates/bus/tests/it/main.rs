//! The bus, with real servers.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod conformance;
mod dispatcher;
mod faults;
mod redis;
mod sqs;
