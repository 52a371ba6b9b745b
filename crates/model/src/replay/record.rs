//! Record of a run for a replay of it: the fold of the journal, and how far the replay is.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::divergence::{Divergence, shown, shown_payload, shown_step};
use super::end::{NotReplayable, RecordedEnd, end};
use super::people::PeopleRecord;
use super::session::SessionRecord;
use super::text_track::TextTrack;
use super::track::ReplayTrack;
use crate::event::{Event, Failure, StepStarted};
use crate::run::Run;
use crate::{Digest, EventContext, Payload};

/// Members of a reported event that errand adds or works out by itself: they need not come again.
const ADDED_MEMBERS: [&str; 7] = [
    "cost_micro_usd",
    "cost_usd",
    "idempotency_key",
    "price_date",
    "price_source",
    "priced_by",
    "reservation_id",
];

/// A recorded run, and how far a replay of it is.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    attempts: u32,
    steps: BTreeMap<String, Recorded>,
    /// Keys in the order in which they were begun first.
    order: Vec<String>,
    reported: BTreeMap<String, ReplayTrack<Value>>,
    checkpoints: ReplayTrack<Payload>,
    artifacts: BTreeMap<String, ReplayTrack<Digest>>,
    output_parts: TextTrack,
    session: SessionRecord,
    people: PeopleRecord,
    /// Keys of calls whose bodies were not kept.
    left_out: BTreeSet<String>,
    /// The steps that are under way while the journal is taken in, the one begun last at the end.
    open: Vec<String>,
    end: RecordedEnd,
}

/// A step of the record.
#[derive(Clone, Debug)]
struct Recorded {
    started: StepStarted,
    /// Done by another run, before this one.
    is_inherited: bool,
    /// Done in whichever attempt.
    is_completed: bool,
    /// The attempt that `outcomes` are of: the last that began it.
    attempt: u32,
    outcomes: Vec<Outcome>,
    /// Events that its command left, which a replay leaves in its place.
    within: StepContents,
    /// Number of its starts in the replay.
    begun: usize,
}

/// Events that a step's command left while it ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepContents {
    /// The run's output, the last one.
    pub output: Option<Payload>,
    /// The checkpoint, the last one.
    pub checkpoint: Option<Payload>,
}

/// Outcome of a step that was begun.
#[derive(Clone, Debug)]
enum Outcome {
    /// Nothing that is known.
    Open,
    Ended(Served),
}

/// Answer of a replay to an agent in the place of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Served {
    /// The step completed with this result.
    Completed {
        /// Output of the step.
        output: Option<Payload>,
        /// Text on stderr.
        stderr: Option<Payload>,
    },
    /// The step failed.
    Failed {
        /// Error of the step.
        error: Failure,
        /// The command's exit code.
        exit_code: Option<i32>,
    },
}

impl RecordedRun {
    /// The record of `run`, whose whole journal is `events`.
    ///
    /// # Errors
    ///
    /// [`NotReplayable`] if there is nothing to compare a replay's end with.
    pub fn of(run: &Run, events: &[Event]) -> Result<Self, NotReplayable> {
        let mut record = Self {
            attempts: run.last_attempt_number(),
            steps: BTreeMap::new(),
            order: Vec::new(),
            reported: BTreeMap::new(),
            checkpoints: ReplayTrack::default(),
            artifacts: BTreeMap::new(),
            output_parts: TextTrack::default(),
            session: SessionRecord::default(),
            people: PeopleRecord::default(),
            left_out: BTreeSet::new(),
            open: Vec::new(),
            end: end(run)?,
        };
        for (number, event) in events.iter().enumerate() {
            let body = event.body()?;
            if !fold::is_last_word(&body, event, events.get(number + 1)) {
                record.take_in(EventContext { at: event.at, attempt: event.attempt }, &body);
            }
        }
        if let Some(step) = record.left_out.iter().find(|step| record.is_completed(step)) {
            return Err(NotReplayable::AnswersNotKept {
                run_id: run.id.clone(),
                step: step.clone(),
            });
        }
        let attempts = record.attempts;
        record.checkpoints.reach(attempts);
        record.output_parts.reach(attempts);
        record.session.reach(attempts);
        record.reported.values_mut().for_each(|track| track.reach(attempts));
        record.artifacts.values_mut().for_each(|track| track.reach(attempts));
        Ok(record)
    }

    /// Returns the number of attempts.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the end of the run.
    pub const fn end(&self) -> &RecordedEnd {
        &self.end
    }

    /// Returns true if a step failed: the output of its command is not in the record.
    pub fn has_failed_steps(&self) -> bool {
        let failed =
            |outcome: &Outcome| !matches!(outcome, Outcome::Ended(Served::Completed { .. }));
        self.steps.values().any(|step| step.outcomes.iter().any(failed))
    }

    /// Returns the questions to people.
    pub const fn people(&mut self) -> &mut PeopleRecord {
        &mut self.people
    }

    /// Returns the record of the session.
    pub const fn session(&mut self) -> &mut SessionRecord {
        &mut self.session
    }

    /// The replay begins a step: what it gives.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the record has no such step, another command for it, or no result.
    pub fn begin(&mut self, asked: &StepStarted) -> Result<Served, Divergence> {
        let shown_asked =
            shown_step(&asked.key, asked.detail.as_deref(), asked.fingerprint.as_ref());
        let next = self.unbegun().map(describe);
        let Some(step) = self.steps.get_mut(&asked.key) else {
            let next = next.as_deref();
            return Err(Divergence::new("step", next, Some(&shown_asked)).at_step(&asked.key));
        };
        let recorded = describe(step);
        let differs = |what: &str, expected: &str, found: &str| {
            Err(Divergence::new(what, Some(expected), Some(found)).at_step(&asked.key))
        };
        match (&step.started.fingerprint, &asked.fingerprint) {
            (Some(left), Some(right)) if left != right => {
                // Where both are shown alike, the fingerprints tell them apart.
                let (left, right) = if recorded == shown_asked {
                    (format!("{recorded}\n{left}\n"), format!("{shown_asked}\n{right}\n"))
                } else {
                    (recorded, shown_asked)
                };
                return differs("command", &left, &right);
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        let times = step.outcomes.len();
        let outcome = step.outcomes.get(step.begun).or_else(|| {
            let is_done =
                |last: &&Outcome| matches!(last, Outcome::Ended(Served::Completed { .. }));
            step.outcomes.last().filter(is_done)
        });
        step.begun += 1;
        match outcome {
            Some(Outcome::Ended(served)) => Ok(served.clone()),
            Some(Outcome::Open) => {
                differs("step", &format!("{recorded}\nit never ended"), &shown_asked)
            }
            None => {
                let found = format!("{shown_asked}\nbegun {} times", times + 1);
                differs("step", &format!("{recorded}\nbegun {times} times"), &found)
            }
        }
    }

    fn is_completed(&self, key: &str) -> bool {
        self.steps.get(key).is_some_and(|step| step.is_completed)
    }

    /// Returns whether the record has a step.
    pub fn has_step(&self, key: &str) -> bool {
        self.steps.contains_key(key)
    }

    /// Returns the keys of the steps of that kind which the replay has not begun, in their order.
    pub fn unbegun_of(&self, kind: &str) -> Vec<String> {
        let steps = self.order.iter().filter_map(|key| self.steps.get(key));
        let is_open = |step: &&Recorded| {
            step.begun == 0 && !step.is_inherited && step.started.kind.as_deref() == Some(kind)
        };
        steps.filter(is_open).map(|step| step.started.key.clone()).collect()
    }

    /// Returns the events that the command of a step left.
    pub fn within(&self, key: &str) -> StepContents {
        self.steps.get(key).map(|step| step.within.clone()).unwrap_or_default()
    }

    /// The first step that the replay has to begin and did not.
    fn unbegun(&self) -> Option<&Recorded> {
        let is_due = |step: &&Recorded| {
            // What failed in an earlier attempt may have been gone round by a later one.
            step.begun == 0 && !step.is_inherited && (step.is_completed || self.attempts == 1)
        };
        self.order.iter().filter_map(|key| self.steps.get(key)).find(is_due)
    }

    /// The replay reports an event.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if it is not the one that the record has in its place.
    pub fn report(&mut self, type_name: &str, data: &Value) -> Result<(), Divergence> {
        let found = said(data);
        let track = self.reported.entry(type_name.to_owned()).or_default();
        track.follow(&found).map_err(|expected| {
            let expected = expected.map(shown);
            Divergence::new(format!("event {type_name}"), expected.as_deref(), Some(&shown(&found)))
        })
    }

    /// The replay saves a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if it is not the one that the record has in its place.
    pub fn checkpoint(&mut self, state: &Payload) -> Result<(), Divergence> {
        self.checkpoints.follow(state).map_err(|expected| {
            let expected = expected.map(shown_payload);
            Divergence::new("checkpoint", expected.as_deref(), Some(&shown_payload(state)))
        })
    }

    /// The replay keeps a file.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the record has no file of that name, or another content.
    pub fn artifact(&mut self, name: &str, digest: &Digest) -> Result<(), Divergence> {
        let track = self.artifacts.entry(name.to_owned()).or_default();
        track.follow(digest).map_err(|expected| {
            let expected = expected.map(|expected| format!("{name}: {expected}"));
            Divergence::new("artifact", expected.as_deref(), Some(&format!("{name}: {digest}")))
        })
    }

    /// The replay passes a part of its output on.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if it is not the one that the record has in its place.
    pub fn output_part(&mut self, text: &str) -> Result<(), Divergence> {
        let differs = |expected: Option<&str>| Divergence::new("output part", expected, Some(text));
        self.output_parts.follow(text).map_err(differs)
    }

    /// The replay's agent has ended: whether all came that the record has.
    ///
    /// # Errors
    ///
    /// [`Divergence`] for the first thing that did not come.
    pub fn finished(&self) -> Result<(), Divergence> {
        if let Some(step) = self.unbegun() {
            let missing = Divergence::new("step", Some(&describe(step)), None);
            return Err(missing.at_step(&step.started.key));
        }
        for (type_name, track) in &self.reported {
            if let Some(expected) = track.rest() {
                let what = format!("event {type_name}");
                return Err(Divergence::new(what, Some(&shown(expected)), None));
            }
        }
        if let Some(expected) = self.checkpoints.rest() {
            return Err(Divergence::new("checkpoint", Some(&shown_payload(expected)), None));
        }
        for (name, track) in &self.artifacts {
            if let Some(expected) = track.rest() {
                let expected = format!("{name}: {expected}");
                return Err(Divergence::new("artifact", Some(&expected), None));
            }
        }
        if let Some(expected) = self.output_parts.rest() {
            return Err(Divergence::new("output part", Some(expected), None));
        }
        self.people.finished()?;
        self.session.finished()
    }

    /// Compares the end of the replay's agent with the recorded one. `last_words` are shown if they
    /// differ, since they mostly contain the reason.
    ///
    /// # Errors
    ///
    /// [`Divergence`] in the exit code or signal.
    pub fn exited(
        &self,
        exit_code: Option<i32>,
        signal: Option<i32>,
        last_words: &str,
    ) -> Result<(), Divergence> {
        let how = |code: Option<i32>, signal: Option<i32>| match (code, signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        let (left, right) = (how(self.end.exit_code, self.end.signal), how(exit_code, signal));
        if left == right {
            return Ok(());
        }
        let found = format!("{right}\n{last_words}");
        Err(Divergence::new("exit code", Some(&left), Some(found.trim_end())))
    }

    /// Compares the replay's output with the recorded one.
    ///
    /// # Errors
    ///
    /// [`Divergence`] in the output.
    pub fn produced(&self, found: Option<&Payload>) -> Result<(), Divergence> {
        let expected = self.end.output.as_ref();
        if expected == found {
            return Ok(());
        }
        let [left, right] = [expected, found].map(|output| output.map(shown_payload));
        Err(Divergence::new("output", left.as_deref(), right.as_deref()))
    }

    /// Describes the agreement of a replay with its record.
    pub fn summary(&self) -> Vec<String> {
        let count = |number: usize, noun: &str| match number {
            1 => format!("1 {noun}"),
            _ => format!("{number} {noun}s"),
        };
        let reported: usize = self.reported.values().map(ReplayTrack::len).sum();
        let files: usize = self.artifacts.values().map(ReplayTrack::len).sum();
        let streams = self.attempts == 1 && !self.has_failed_steps();
        let mut all = vec![
            format!("{} served", count(self.steps.len(), "step")),
            count(reported, "event"),
            count(self.checkpoints.len(), "checkpoint"),
            count(files, "artifact"),
            "the output".to_owned(),
        ];
        if streams {
            all.push("stdout and stderr".to_owned());
        }
        all.push("the exit code".to_owned());
        all
    }
}

fn describe(step: &Recorded) -> String {
    let StepStarted { key, detail, fingerprint, .. } = &step.started;
    shown_step(key, detail.as_deref(), fingerprint.as_ref())
}

/// Returns the part of an event that the agent reported.
fn said(data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(members) = data.as_object_mut() {
        for member in ADDED_MEMBERS {
            members.remove(member);
        }
    }
    data
}
