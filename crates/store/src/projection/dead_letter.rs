//! Dead letters in a journal.

use errand_model::Timestamp;
use errand_model::event::Event;
use errand_model::run::{Run, Status};

/// The event that makes a dead letter.
const DEAD_LETTERED: &str = "run.dead_lettered";
/// Number of events of steps, from the end of the journal, in which the failed step is searched.
pub(crate) const STEP_EVENTS: u32 = 64;

/// Row of a dead letter.
#[derive(Debug)]
pub(crate) struct Died<'a> {
    /// Number of the event that made it.
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    /// The step that the error names; `None`: it has to be found in the journal.
    pub(crate) step: Option<&'a str>,
}

/// Returns the dead letter that `events`, the newest of the run, create; `None` if they create
/// none.
pub(crate) fn died<'a>(run: &'a Run, events: &[Event]) -> Option<Died<'a>> {
    let event = events.iter().rev().find(|event| event.kind == DEAD_LETTERED)?;
    let error = match &run.status {
        Status::Failed { error, .. } => Some(error),
        Status::Pending { .. }
        | Status::Running { .. }
        | Status::Paused { .. }
        | Status::Completed { .. }
        | Status::Cancelled { .. } => None,
    };
    Some(Died {
        seq: event.seq,
        at: event.at,
        attempts: run.last_attempt_number(),
        code: error.map_or("", |error| error.code.as_str()),
        message: error.map_or("", |error| error.message.as_str()),
        step: error.and_then(|error| error.step.as_deref()),
    })
}

/// Facts of an event of a step.
#[derive(Debug)]
pub(crate) struct StepEvent {
    pub(crate) attempt: u32,
    pub(crate) is_completion: bool,
    pub(crate) key: Option<String>,
}

/// Returns the step of that attempt that was begun or failed last and not completed since.
/// `newest_first` are events of steps.
pub(crate) fn failing_step(
    newest_first: impl IntoIterator<Item = StepEvent>,
    attempt: u32,
) -> Option<String> {
    let mut completed: Vec<String> = Vec::new();
    for event in newest_first {
        let key = event.key.filter(|_| event.attempt == attempt)?;
        if event.is_completion {
            completed.push(key);
        } else if !completed.contains(&key) {
            return Some(key);
        }
    }
    None
}
