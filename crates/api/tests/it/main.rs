//! The outside contract, checked from outside.
#![expect(
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, and inline snapshots are long"
)]

mod agent_file;
mod agent_file_bad;
mod bom;
mod catalog;
mod coordinator;
mod definition;
mod error_codes;
mod manifest;
mod schema;
