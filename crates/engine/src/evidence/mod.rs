//! Whether a run is what was written: its journal in the registry, the copy of it in the file, and
//! the blobs that both name.
//!
//! The chain of hashes tells where a journal stops being what was written; the copy tells it too, and
//! which of the two is the one that was changed. Nothing is repaired here.

mod blobs;
mod finding;
mod lines;
mod run;

pub use finding::{Finding, Place, Problem, Verified};
pub(crate) use lines::{LINE_LIMIT_BYTES, Lines, no_event, parse};
pub use run::{verify_all, verify_run};

use errand_model::Event;
use errand_model::event::EventBody;

/// Whether the run is over with this event.
pub(crate) fn is_terminal(event: &Event) -> bool {
    matches!(event.kind.as_str(), "run.completed" | "run.failed" | "run.cancelled")
}

/// What happened, where this program knows it.
pub(crate) fn known(event: &Event) -> Option<EventBody> {
    event.body().ok()
}
