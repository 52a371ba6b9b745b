//! The step that a failed attempt is put down to.

use errand_model::event::Failure;
use errand_model::step::{Step, StepState, Steps};

/// A step of the attempt that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blamed {
    /// Which.
    pub(super) key: String,
    /// How it failed; `None`: it never ended.
    pub(super) error: Option<Failure>,
}

/// The step of that attempt that failed last and was not begun again since; where none failed, the
/// one that was begun last and never ended.
pub(super) fn of_attempt(steps: &Steps, attempt: u32) -> Option<Blamed> {
    let of_attempt = || steps.iter().filter(|step| step.attempt == attempt);
    let failed = of_attempt().filter_map(|step| match &step.state {
        StepState::Failed { error, at, .. } => Some((*at, step, Some(error.clone()))),
        StepState::Started | StepState::Completed(_) => None,
    });
    let unfinished = || of_attempt().filter(|step| step.state == StepState::Started);
    let begun = || unfinished().map(|step| (step.started_at, step, None));
    let last = failed.max_by_key(|(at, _, _)| *at).or_else(|| begun().max_by_key(|(at, _, _)| *at));
    last.map(|(_, step, error)| Blamed { key: step.key.clone(), error })
}

/// The step of that attempt that was begun last and is not over.
pub(super) fn under_way(steps: &Steps, attempt: u32) -> Option<&Step> {
    let begun = steps.iter().filter(|step| step.attempt == attempt);
    begun.filter(|step| step.state == StepState::Started).max_by_key(|step| step.started_at)
}
