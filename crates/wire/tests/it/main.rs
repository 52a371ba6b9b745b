//! Requests and answers of every format, as providers document them.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod cuts;
mod edits;
mod golden;
mod mcp;
mod properties;
mod refusals;
mod requests;
