//! Questions of agents to people, as they are listed.

use errand_model::event::Event;
use errand_model::{RunId, Timestamp};

/// Filter of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// Unanswered questions of runs that are not over.
    Open,
    /// Open questions whose deadline is at that moment or before.
    Due(Timestamp),
    /// All questions.
    All,
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredQuestion {
    /// Id of the run that asks.
    pub run_id: RunId,
    /// The name of its agent.
    pub agent: String,
    /// The run's name, if the caller gave one.
    pub name: Option<String>,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// Time of the first request.
    pub asked_at: Timestamp,
    /// The last `approval.requested` or `input.requested` about it.
    pub asked: Event,
    /// The event that closed it: `approval.decided`, `input.provided`, `input.expired`, or the end
    /// of the run; `None`: it is open.
    pub answered: Option<Event>,
}
