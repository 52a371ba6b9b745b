//! Step that a failed attempt is attributed to.

use errand_agent::target::Exit;
use errand_api::error_code::ErrorCode;
use errand_api::exit_code;
use errand_model::event::Failure;
use errand_model::step::{Step, StepState, Steps};

/// Step of the attempt that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blamed {
    /// Key of the step.
    pub(super) key: String,
    /// Its failure; `None`: it never ended.
    pub(super) error: Option<Failure>,
    /// Exit code of its command, if it had one.
    pub(super) exit_code: Option<i32>,
}

/// Exit code of a program that ends with an uncaught exception.
const UNCAUGHT: i32 = 1;

impl Blamed {
    /// Returns the step's failure if the agent exited as the step did: with the exit code that
    /// `errand agent step` gave it, or, for a step that failed through the agent API, with that of
    /// an uncaught exception. An agent that ends otherwise has handled the failure.
    pub(super) fn handed_on(&self, exit: &Exit) -> Option<&Failure> {
        let error = self.error.as_ref()?;
        let given = match self.exit_code {
            Some(code) => i32::from(exit_code::of_agent(code)),
            None if error.code == ErrorCode::TimeoutStep => i32::from(exit_code::TIMED_OUT),
            None if error.code == ErrorCode::KilledBySignal => {
                exit.code.filter(|code| *code > i32::from(exit_code::SIGNAL_BASE))?
            }
            None => UNCAUGHT,
        };
        (exit.code == Some(given)).then_some(error)
    }
}

/// Returns the step of that attempt that failed last and was not begun again since; without a
/// failed one, the step that was begun last and never ended.
pub(super) fn of_attempt(steps: &Steps, attempt: u32) -> Option<Blamed> {
    let of_attempt = || steps.iter().filter(|step| step.attempt == attempt);
    let failed = of_attempt().filter_map(|step| match &step.state {
        StepState::Failed { error, exit_code, at } => {
            Some((*at, step, Some((error.clone(), *exit_code))))
        }
        StepState::Started | StepState::Completed(_) => None,
    });
    let unfinished = || of_attempt().filter(|step| step.state == StepState::Started);
    let begun = || unfinished().map(|step| (step.started_at, step, None));
    let last = failed.max_by_key(|(at, _, _)| *at).or_else(|| begun().max_by_key(|(at, _, _)| *at));
    last.map(|(_, step, failed)| {
        let (error, exit_code) = failed.map_or((None, None), |(error, code)| (Some(error), code));
        Blamed { key: step.key.clone(), error, exit_code }
    })
}

/// Returns the step of that attempt that was begun last and is not over.
pub(super) fn under_way(steps: &Steps, attempt: u32) -> Option<&Step> {
    let begun = steps.unfinished().filter(|step| step.attempt == attempt);
    begun.max_by_key(|step| step.started_at)
}
