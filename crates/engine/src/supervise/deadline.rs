//! Deadlines of an attempt: of the run and of its steps.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use errand_model::Timestamp;
use errand_model::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_model::run::Run;
use errand_model::step::{Step, Steps};

use super::blame;
use crate::kept::{KeptAttempt, KeptStepLimit};

/// Time beyond its limit for a step that times itself (`errand agent step --timeout`) to report.
const STEP_MARGIN: Duration = Duration::from_secs(2);

/// Limits that single steps were begun with, by key.
#[derive(Debug, Default)]
pub(super) struct StepLimits {
    limits: Mutex<BTreeMap<String, Begun>>,
}

/// Limit of a begun step.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    /// Limit of the step itself; `None`: the agent file's.
    limit: Option<Duration>,
    /// Time that the run had been paused before the step, which does not count.
    paused: Duration,
}

impl StepLimits {
    /// Returns the limits that an earlier supervisor of the attempt noted.
    pub(super) fn of_kept(kept: &KeptAttempt) -> Self {
        let begun = |it: &KeptStepLimit| Begun { limit: it.limit, paused: it.paused };
        let limits = kept.step_limits.iter().map(|(key, it)| (key.clone(), begun(it)));
        Self { limits: Mutex::new(limits.collect()) }
    }

    /// Notes the limit that a step was begun with (`None`: the agent file's), and the time that the
    /// run had been paused before.
    pub(super) fn note(&self, key: &str, limit: Option<Duration>, paused: Duration) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.insert(key.to_owned(), Begun { limit, paused });
    }

    /// Returns the limit that a step was begun with.
    fn of(&self, key: &str) -> Begun {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.get(key).copied().unwrap_or_default()
    }

    /// Returns the milliseconds left for each begun step with a limit, by key.
    pub(super) fn time_left(
        &self,
        run: &Run,
        steps: &Steps,
        now: Timestamp,
    ) -> BTreeMap<String, u64> {
        let left = steps.unfinished().filter_map(|step| {
            let left = self.deadline_of(run, step, now)?.since(now);
            Some((step.key.clone(), u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
        });
        left.collect()
    }

    /// Returns the deadline of a begun step. It moves while the run is paused: until `now` if it
    /// is.
    pub(super) fn deadline_of(&self, run: &Run, step: &Step, now: Timestamp) -> Option<Timestamp> {
        let begun = self.of(&step.key);
        let limit = begun.limit.or(run.spec.timeouts.step)?;
        let paused = run.paused_until(now).saturating_sub(begun.paused);
        Some(step.started_at.plus(limit).plus(paused))
    }
}

/// Deadline of the attempt, and the failure after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    pub(super) failure: Failure,
}

/// Returns the first deadline of the run or its steps.
pub(super) fn next(
    run: &Run,
    steps: &Steps,
    limits: &StepLimits,
    now: Timestamp,
) -> Option<Deadline> {
    let attempt = run.last_attempt_number();
    let begun = || steps.unfinished().filter(|step| step.attempt == attempt);
    let under_way = || blame::under_way(steps, attempt).map(|step| step.key.clone());
    let of_run =
        run.run_deadline().map(|at| Deadline { at, failure: out_of_time(run, under_way()) });
    let of_steps = begun().filter_map(|step| {
        let limit = limits.of(&step.key).limit.or(run.spec.timeouts.step)?;
        Some(Deadline {
            at: limits.deadline_of(run, step, now)?.plus(STEP_MARGIN),
            failure: Failure::new(
                ErrorCode::TimeoutStep,
                format!("step {:?} took longer than its limit of {limit:?}", step.key),
            )
            .at_step(Some(step.key.clone())),
        })
    });
    of_run.into_iter().chain(of_steps).min_by_key(|deadline| deadline.at)
}

/// Returns the failure of a run whose time was over at `now`, before its attempt has a process.
pub(super) fn is_over(run: &Run, now: Timestamp) -> Option<Failure> {
    run.run_deadline().filter(|at| now >= *at).map(|_| out_of_time(run, None))
}

fn out_of_time(run: &Run, step: Option<String>) -> Failure {
    let limit = run.spec.timeouts.run.unwrap_or_default();
    let message = format!("the run took longer than its limit of {limit:?}");
    Failure::new(ErrorCode::TimeoutRun, message).at_step(step).for_good()
}
