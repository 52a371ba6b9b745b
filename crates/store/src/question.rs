//! What agents asked people, as it is listed.

use errand_model::event::Event;
use errand_model::{RunId, Timestamp};

/// Which questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// Those that nobody answered yet, of runs that are not over.
    Open,
    /// Of the open ones, those whose deadline is at that moment or before.
    Due(Timestamp),
    /// All that there ever were.
    All,
}

/// A question, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which run asks.
    pub run_id: RunId,
    /// The name of its agent.
    pub agent: String,
    /// The run's name, if the caller gave one.
    pub name: Option<String>,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// When it was asked first.
    pub asked_at: Timestamp,
    /// The last `approval.requested` or `input.requested` about it.
    pub asked: Event,
    /// What answered it: `approval.decided`, `input.provided`, `input.expired`, or the end of the
    /// run; `None`: it is open.
    pub answered: Option<Event>,
}
