//! Integration tests of the stores.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod conformance;
mod postgres;
mod sqlite;
mod world;
