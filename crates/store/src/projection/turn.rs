//! Turns of runs in their session.

use errand_model::event::{Event, OnBusy};
use errand_model::run::Run;

const ATTEMPT_STARTED: &str = "attempt.started";

/// Returns true if an attempt starts with one of the events.
pub(crate) fn begins(events: &[Event]) -> bool {
    events.iter().any(|event| event.kind == ATTEMPT_STARTED)
}

/// Returns the session in which a run takes turns, and its behaviour while another run has the
/// turn; `None`: it takes none.
pub(crate) fn takes_turns(run: &Run) -> Option<(&str, OnBusy)> {
    Some((run.spec.session_id.as_deref()?, run.spec.session_turn?))
}
