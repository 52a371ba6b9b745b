//! The gateway's router: requests in, responses out, on a registry in SQLite.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod access;
mod agents;
mod boms;
mod catalog;
mod hooks;
mod namespaces;
mod operation;
mod reports;
mod requests;
mod runs;
mod sessions;
mod streams;
mod support;
