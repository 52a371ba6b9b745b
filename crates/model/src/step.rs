//! The steps of a run: what is done is never done again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{
    Event, EventBody, Failure, RunCreated, StepCompleted, StepFailed, StepInherited, StepStarted,
    UnknownEvent,
};
use crate::{Digest, Payload, Timestamp};

/// The longest step key.
pub const STEP_KEY_LIMIT_BYTES: usize = 256;

/// A step: the fold of its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the run.
    pub key: String,
    /// Kind of the step, for people.
    pub kind: Option<String>,
    /// The digest of what it does, where the agent said.
    pub fingerprint: Option<Digest>,
    /// Description of the step by the agent, for people.
    #[serde(default)]
    pub detail: Option<String>,
    /// The attempt that began it last; 0: another run did it.
    pub attempt: u32,
    /// Number of its starts.
    pub begun: u32,
    /// Time of its last start.
    pub started_at: Timestamp,
    /// State of the step.
    pub state: StepState,
}

/// State of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum StepState {
    /// Begun, and not heard of since.
    Started,
    /// Done for good.
    Completed(StepResult),
    /// Failed; may be begun again.
    Failed {
        /// Error of the step.
        error: Failure,
        /// The command's exit code, for a command.
        exit_code: Option<i32>,
        /// Time of the failure.
        at: Timestamp,
    },
}

/// The recorded result of a completed step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Output of the step.
    pub output: Option<Payload>,
    /// Text on stderr, for a command.
    pub stderr: Option<Payload>,
    /// From begin to completion.
    #[serde(rename = "duration_ms", with = "crate::millis")]
    pub duration: Duration,
    /// Time of the completion.
    pub at: Timestamp,
}

/// Answer to an agent that wants to begin a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin<'a> {
    /// Record this event, then do it.
    Run(Box<EventBody>),
    /// Result of a step that is completed.
    Done(&'a StepResult),
}

/// Source of the steps that a run took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// A run of the same agent: a step that now does something else is an error.
    FromSameAgent,
    /// A run of an agent that was changed since: a step that now does something else is executed
    /// again.
    FromOtherAgent,
}

impl Inherited {
    /// Returns whose steps a run took over.
    pub const fn of(spec: &RunCreated) -> Self {
        match spec.origin_agent {
            Some(_) => Self::FromOtherAgent,
            None => Self::FromSameAgent,
        }
    }
}

/// Decides whether a step is to be done.
///
/// # Errors
///
/// [`StepRefused::Key`] for a key that is empty, too long or has control characters;
/// [`StepRefused::Changed`] if the step is completed and did something else. Where one of the two
/// has no fingerprint, they are taken as the same.
pub fn begin<'a>(
    existing: Option<&'a Step>,
    step: StepStarted,
    inherited: Inherited,
) -> Result<Begin<'a>, StepRefused> {
    check_key(&step.key)?;
    let Some((found, result)) = existing.and_then(completed) else {
        return Ok(Begin::Run(Box::new(EventBody::StepStarted(step))));
    };
    match (&found.fingerprint, &step.fingerprint) {
        (Some(recorded), Some(asked))
            if recorded != asked
                && found.attempt == 0
                && inherited == Inherited::FromOtherAgent =>
        {
            Ok(Begin::Run(Box::new(EventBody::StepStarted(step))))
        }
        (Some(recorded), Some(asked)) if recorded != asked => Err(StepRefused::Changed {
            key: step.key,
            recorded: found.detail.clone().unwrap_or_else(|| recorded.to_string()),
            asked: step.detail.unwrap_or_else(|| asked.to_string()),
        }),
        (Some(_) | None, Some(_) | None) => Ok(Begin::Done(result)),
    }
}

/// A step with its result, if it has one.
const fn completed(step: &Step) -> Option<(&Step, &StepResult)> {
    match &step.state {
        StepState::Completed(result) => Some((step, result)),
        StepState::Started | StepState::Failed { .. } => None,
    }
}

/// Decides what a completed step leaves in the journal; `None`: it is recorded just so already.
///
/// # Errors
///
/// [`StepRefused::NotBegun`], or [`StepRefused::AlreadyCompleted`] with a different result.
pub fn complete(
    existing: Option<&Step>,
    key: &str,
    output: Option<Payload>,
    stderr: Option<Payload>,
    now: Timestamp,
) -> Result<Option<EventBody>, StepRefused> {
    let Some(step) = existing else {
        return Err(StepRefused::NotBegun { key: key.to_owned() });
    };
    match &step.state {
        StepState::Completed(done) if done.output == output => Ok(None),
        StepState::Completed(_) => Err(StepRefused::AlreadyCompleted { key: key.to_owned() }),
        StepState::Started | StepState::Failed { .. } => {
            Ok(Some(EventBody::StepCompleted(StepCompleted {
                key: key.to_owned(),
                output,
                stderr,
                duration: now.since(step.started_at),
                usage: None,
                digest: None,
            })))
        }
    }
}

/// Decides what a failed step leaves in the journal.
///
/// # Errors
///
/// [`StepRefused::NotBegun`], or [`StepRefused::AlreadyCompleted`].
pub fn fail(
    existing: Option<&Step>,
    key: &str,
    error: Failure,
    exit_code: Option<i32>,
    now: Timestamp,
) -> Result<EventBody, StepRefused> {
    let Some(step) = existing else {
        return Err(StepRefused::NotBegun { key: key.to_owned() });
    };
    match &step.state {
        StepState::Completed(_) => Err(StepRefused::AlreadyCompleted { key: key.to_owned() }),
        StepState::Started | StepState::Failed { .. } => Ok(EventBody::StepFailed(StepFailed {
            key: key.to_owned(),
            error,
            exit_code,
            duration: now.since(step.started_at),
            usage: None,
        })),
    }
}

fn check_key(key: &str) -> Result<(), StepRefused> {
    if key.is_empty() || key.len() > STEP_KEY_LIMIT_BYTES || key.chars().any(char::is_control) {
        return Err(StepRefused::Key { key: key.chars().take(STEP_KEY_LIMIT_BYTES).collect() });
    }
    Ok(())
}

/// Refusal of a call about a step. Nothing was recorded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StepRefused {
    /// The key is empty, too long or has control characters.
    #[error(
        "{key:?} is not a step key: 1 to {STEP_KEY_LIMIT_BYTES} bytes without control characters"
    )]
    Key {
        /// Key as given, shortened.
        key: String,
    },
    /// The step is completed, and did something else.
    #[error(
        "step {key:?} is completed, and did something else\n  recorded: {recorded}\n  asked:    {asked}"
    )]
    Changed {
        /// The step.
        key: String,
        /// Recorded work: its command line, or its fingerprint.
        recorded: String,
        /// Requested work.
        asked: String,
    },
    /// The step was not begun.
    #[error("step {key:?} was not begun in this run")]
    NotBegun {
        /// The step.
        key: String,
    },
    /// The step is completed with another result.
    #[error("step {key:?} is completed already, with a different result")]
    AlreadyCompleted {
        /// The step.
        key: String,
    },
}

/// All steps of a run, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    by_key: BTreeMap<String, Step>,
    /// Keys of the steps that were begun and are not over: few of many, and looked for at each
    /// change of the run.
    unfinished: BTreeSet<String>,
}

impl Steps {
    /// The steps as they were stored.
    pub fn from_stored(steps: impl IntoIterator<Item = Step>) -> Self {
        let by_key: BTreeMap<String, Step> =
            steps.into_iter().map(|step| (step.key.clone(), step)).collect();
        let unfinished = by_key.values().filter(|step| step.state == StepState::Started);
        Self { unfinished: unfinished.map(|step| step.key.clone()).collect(), by_key }
    }

    /// The fold of a whole journal.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`] for the first event that cannot be read.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, UnknownEvent> {
        let mut steps = Self::default();
        for event in events {
            steps.apply(event.at, event.attempt, &event.body()?);
        }
        Ok(steps)
    }

    /// The step of that key.
    pub fn get(&self, key: &str) -> Option<&Step> {
        self.by_key.get(key)
    }

    /// All steps, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.by_key.values()
    }

    /// The steps that were begun and are not over, by key.
    pub fn unfinished(&self) -> impl Iterator<Item = &Step> {
        self.unfinished.iter().filter_map(|key| self.by_key.get(key))
    }

    /// Takes in one event; events about other things change nothing. Returns the step it changed.
    pub fn apply(&mut self, at: Timestamp, attempt: u32, body: &EventBody) -> Option<&Step> {
        if let EventBody::StepStarted(started) = body {
            return Some(self.start(at, attempt, started));
        }
        if let EventBody::StepInherited(inherited) = body {
            return Some(self.inherit(at, inherited));
        }
        if let EventBody::StepCompleted(done) = body {
            let step = self.by_key.get_mut(&done.key)?;
            self.unfinished.remove(&done.key);
            step.state = StepState::Completed(StepResult {
                output: done.output.clone(),
                stderr: done.stderr.clone(),
                duration: done.duration,
                at,
            });
            return Some(step);
        }
        if let EventBody::StepFailed(failed) = body {
            let step = self.by_key.get_mut(&failed.key)?;
            self.unfinished.remove(&failed.key);
            step.state =
                StepState::Failed { error: failed.error.clone(), exit_code: failed.exit_code, at };
            return Some(step);
        }
        None
    }

    fn start(&mut self, at: Timestamp, attempt: u32, started: &StepStarted) -> &Step {
        self.unfinished.insert(started.key.clone());
        let step = self.by_key.entry(started.key.clone()).or_insert_with(|| Step {
            key: started.key.clone(),
            kind: None,
            fingerprint: None,
            detail: None,
            attempt,
            begun: 0,
            started_at: at,
            state: StepState::Started,
        });
        step.kind.clone_from(&started.kind);
        step.fingerprint.clone_from(&started.fingerprint);
        step.detail.clone_from(&started.detail);
        step.attempt = attempt;
        step.begun += 1;
        step.started_at = at;
        step.state = StepState::Started;
        step
    }

    fn inherit(&mut self, at: Timestamp, inherited: &StepInherited) -> &Step {
        let step = Step {
            key: inherited.key.clone(),
            kind: inherited.kind.clone(),
            fingerprint: inherited.fingerprint.clone(),
            detail: inherited.detail.clone(),
            attempt: 0,
            begun: 0,
            started_at: at,
            state: StepState::Completed(StepResult {
                output: inherited.output.clone(),
                stderr: inherited.stderr.clone(),
                duration: inherited.duration,
                at,
            }),
        };
        self.unfinished.remove(&inherited.key);
        self.by_key.entry(inherited.key.clone()).insert_entry(step).into_mut()
    }
}
