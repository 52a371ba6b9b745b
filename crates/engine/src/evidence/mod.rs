//! Verification of a run: its journal in the registry, the copy in the file, and the blobs that
//! both name.
//!
//! The chain of hashes shows the first event that differs from what was written. The copy shows it
//! too, and which of the two was changed. Nothing is repaired here.

mod blobs;
mod error;
mod finding;
mod lines;
mod run;

pub use error::Error;
pub use finding::{EvidencePlace, EvidenceProblem, Finding, VerifiedRegistry};
pub(crate) use lines::{LINE_LIMIT_BYTES, Lines, no_event, parse};
pub use run::{verify_all, verify_run};

use errand_model::Event;
use errand_model::event::EventBody;

/// Returns true if the event ends the run.
pub(crate) fn is_terminal(event: &Event) -> bool {
    matches!(event.kind.as_str(), "run.completed" | "run.failed" | "run.cancelled")
}

/// Returns the event's body, if this program knows its kind.
pub(crate) fn known(event: &Event) -> Option<EventBody> {
    event.body().ok()
}
