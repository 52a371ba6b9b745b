//! Conformance suites of targets and harnesses, which every implementation passes.
//!
//! An implementation joins with one line in its tests: `target_conformance!(name, subject)` or
//! `harness_conformance!(name, subject)`, where `subject` makes a [`TargetSubject`] or a
//! [`HarnessSubject`].

mod attempt;
mod backend;
pub mod harness;
mod program;
pub mod target;

pub use attempt::TestAttempt;
pub use backend::{BackendRecord, MemoryBackend};
pub use harness::HarnessSubject;
pub use program::Program;
pub use target::TargetSubject;
