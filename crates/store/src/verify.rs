//! Whether a journal is what was written.

use errand_model::event::Event;
use errand_model::{Broken, Head};

/// The events after which a run never changes again.
const TERMINAL: [&str; 3] = ["run.completed", "run.failed", "run.cancelled"];

/// A journal that holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many events it has.
    pub events: u64,
    /// Whether the run is over: nothing can be cut off at its end without this changing.
    pub is_sealed: bool,
    /// Where it ends.
    pub head: Head,
}

/// Checks a whole journal, from its first event on: numbers without gaps, every hash.
///
/// # Errors
///
/// [`Broken`] at the first event that is not what was written.
pub fn verify(events: &[Event]) -> Result<Verified, Broken> {
    let mut head = Head::EMPTY;
    for event in events {
        head.verify(event)?;
    }
    let is_sealed = events.last().is_some_and(|last| TERMINAL.contains(&last.kind.as_str()));
    Ok(Verified { events: head.seq, is_sealed, head })
}
