//! Which runs take turns in their session, and when one begins.

use errand_model::event::{Event, OnBusy};
use errand_model::run::Run;

const ATTEMPT_STARTED: &str = "attempt.started";

/// Whether an attempt begins with one of the events.
pub(crate) fn begins(events: &[Event]) -> bool {
    events.iter().any(|event| event.kind == ATTEMPT_STARTED)
}

/// The session in which a run takes turns, and what it does while another has the turn; `None`: it
/// takes none.
pub(crate) fn takes_turns(run: &Run) -> Option<(&str, OnBusy)> {
    Some((run.spec.session_id.as_deref()?, run.spec.session_turn?))
}
