//! Verification of a journal's hash chain.

use errand_model::event::Event;
use errand_model::{Broken, Head};

/// The events after which a run never changes again.
const TERMINAL: [&str; 3] = ["run.completed", "run.failed", "run.cancelled"];

/// A journal whose hash chain is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedJournal {
    /// Number of events.
    pub events: u64,
    /// True if the run is over: cutting off events at the end would make this false.
    pub is_sealed: bool,
    /// End of the journal.
    pub head: Head,
}

/// Checks a whole journal, from its first event on: numbers without gaps, every hash.
///
/// # Errors
///
/// [`Broken`] at the first event that was changed or is missing.
pub fn verify(events: &[Event]) -> Result<VerifiedJournal, Broken> {
    let mut head = Head::EMPTY;
    for event in events {
        head.verify(event)?;
    }
    let is_sealed = events.last().is_some_and(|last| TERMINAL.contains(&last.kind.as_str()));
    Ok(VerifiedJournal { events: head.seq, is_sealed, head })
}
