//! When an attempt is out of time, and what for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use errand_model::Timestamp;
use errand_model::event::Failure;
use errand_model::run::Run;
use errand_model::step::{StepState, Steps};

use super::blame;

/// A step that times itself (`errand agent step --timeout`) gets so long to say so.
const STEP_MARGIN: Duration = Duration::from_secs(2);

/// Limits that single steps were begun with, by key.
#[derive(Debug, Default)]
pub(super) struct StepLimits {
    limits: Mutex<BTreeMap<String, Duration>>,
}

impl StepLimits {
    /// Notes the limit that a step was begun with; `None`: the agent file's.
    pub(super) fn note(&self, key: &str, limit: Option<Duration>) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        match limit {
            Some(limit) => limits.insert(key.to_owned(), limit),
            None => limits.remove(key),
        };
    }

    /// The limit that a step was begun with.
    fn of(&self, key: &str) -> Option<Duration> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}

/// A moment after which the attempt is stopped, and the failure it then ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    pub(super) failure: Failure,
}

/// The first moment at which the run or one of its steps is out of time.
pub(super) fn next(run: &Run, steps: &Steps, limits: &StepLimits) -> Option<Deadline> {
    let attempt = run.last_attempt_number();
    let begun =
        || steps.iter().filter(|step| step.attempt == attempt && step.state == StepState::Started);
    let under_way = || blame::under_way(steps, attempt).map(|step| step.key.clone());
    let of_run =
        run.run_deadline().map(|at| Deadline { at, failure: out_of_time(run, under_way()) });
    let of_steps = begun().filter_map(|step| {
        let limit = limits.of(&step.key).or(run.spec.timeouts.step)?;
        Some(Deadline {
            at: step.started_at.plus(limit).plus(STEP_MARGIN),
            failure: Failure {
                code: "timeout_step".to_owned(),
                message: format!("step {:?} took longer than its limit of {limit:?}", step.key),
                step: Some(step.key.clone()),
                retryable: None,
            },
        })
    });
    of_run.into_iter().chain(of_steps).min_by_key(|deadline| deadline.at)
}

/// The failure of a run whose time was up at `now`, before its attempt has a process.
pub(super) fn is_over(run: &Run, now: Timestamp) -> Option<Failure> {
    run.run_deadline().filter(|at| now >= *at).map(|_| out_of_time(run, None))
}

fn out_of_time(run: &Run, step: Option<String>) -> Failure {
    let limit = run.spec.timeouts.run.unwrap_or_default();
    Failure {
        code: "timeout_run".to_owned(),
        message: format!("the run took longer than its limit of {limit:?}"),
        step,
        retryable: Some(false),
    }
}
