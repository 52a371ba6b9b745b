//! The container target passes the conformance suite, on a real engine.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod containers;
mod credentials;
mod seams;
mod support;
