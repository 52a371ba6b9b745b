//! Tests of the target `kubernetes`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

mod pods;
mod real;
mod refusals;
mod seams;
mod support;
