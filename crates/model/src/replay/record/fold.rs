//! Fold of a journal into the record that a replay is compared with.

use std::collections::BTreeMap;

use super::{Outcome, Recorded, RecordedRun, Served, StepContents, said};
use crate::accounting::{MODEL_REFUSED, MODEL_REQUESTED, REFUSED_BY, TOOL_REFUSED};
use crate::event::{
    AttemptEvent, Event, EventBody, EventGroup, LimitEvent, Reported, ResultEvent, StepEvent,
    StepStarted,
};
use crate::{EventContext, request_record};

impl RecordedRun {
    pub(super) fn take_in(&mut self, context: EventContext, body: &EventBody) {
        let (attempt, in_step) = (context.attempt, !self.open.is_empty());
        match body.group() {
            EventGroup::Attempt(AttemptEvent::Started(_)) => self.open.clear(),
            EventGroup::Step(event) => self.take_step(attempt, event),
            EventGroup::Question(event) => self.people.take_in(in_step, event),
            EventGroup::Session(event) => {
                self.session.take_in(context.at, (attempt, in_step), event);
            }
            EventGroup::Result(event) => self.take_result(attempt, event),
            EventGroup::Reported(reported) if is_of_gateway(reported) => {}
            EventGroup::Reported(reported) => {
                if reported.type_name() == MODEL_REQUESTED
                    && request_record::is_left_out(reported.data())
                    && let Some(step) = reported.data()["step"].as_str()
                {
                    self.left_out.insert(step.to_owned());
                }
                let track = self.reported.entry(reported.type_name().to_owned()).or_default();
                track.record(attempt, said(reported.data()), in_step);
            }
            EventGroup::Limit(LimitEvent::PolicyDecided(decided)) => {
                self.people.note_policy(decided);
            }
            EventGroup::Attempt(_)
            | EventGroup::Run(_)
            | EventGroup::Limit(_)
            | EventGroup::Coordination(_)
            | EventGroup::Service(_) => {}
        }
    }

    fn take_step(&mut self, attempt: u32, event: StepEvent<'_>) {
        match event {
            StepEvent::Started(started) => self.start(attempt, started),
            StepEvent::Inherited(done) => {
                let started = StepStarted {
                    key: done.key.clone(),
                    kind: done.kind.clone(),
                    fingerprint: done.fingerprint.clone(),
                    detail: done.detail.clone(),
                    run_id: None,
                    allowance: BTreeMap::new(),
                };
                self.start(attempt, &started);
                let (output, stderr) = (done.output.clone(), done.stderr.clone());
                self.finish(&done.key, Served::Completed { output, stderr });
                if let Some(step) = self.steps.get_mut(&done.key) {
                    step.is_inherited = true;
                }
            }
            StepEvent::Completed(done) => {
                let (output, stderr) = (done.output.clone(), done.stderr.clone());
                self.finish(&done.key, Served::Completed { output, stderr });
            }
            StepEvent::Failed(failed) => {
                let (error, exit_code) = (failed.error.clone(), failed.exit_code);
                self.finish(&failed.key, Served::Failed { error, exit_code });
            }
            StepEvent::CheckpointSaved(saved) => {
                let in_step = !self.open.is_empty();
                self.checkpoints.record(attempt, saved.state.clone(), in_step);
                if let Some(within) = self.innermost() {
                    within.checkpoint = Some(saved.state.clone());
                }
            }
            StepEvent::CheckpointInherited(_) => {}
        }
    }

    fn take_result(&mut self, attempt: u32, event: ResultEvent<'_>) {
        let in_step = !self.open.is_empty();
        match event {
            ResultEvent::ArtifactCreated(created) => {
                let track = self.artifacts.entry(created.name.clone()).or_default();
                track.record(attempt, created.digest.clone(), in_step);
            }
            ResultEvent::OutputDelta(delta) => {
                self.output_parts.record(attempt, &delta.text, in_step);
            }
            ResultEvent::OutputSet(set) => {
                if let Some(within) = self.innermost() {
                    within.output = Some(set.output.clone());
                }
            }
            ResultEvent::ReplayDiverged(_) | ResultEvent::CheckbackRefused(_) => {}
        }
    }

    /// Returns the step that was begun last: what comes now belongs to it.
    fn innermost(&mut self) -> Option<&mut StepContents> {
        self.steps.get_mut(self.open.last()?).map(|step| &mut step.within)
    }

    fn start(&mut self, attempt: u32, started: &StepStarted) {
        if !self.steps.contains_key(&started.key) {
            self.order.push(started.key.clone());
        }
        let step = self.steps.entry(started.key.clone()).or_insert_with(|| Recorded {
            started: started.clone(),
            is_inherited: false,
            is_completed: false,
            attempt,
            outcomes: Vec::new(),
            within: StepContents::default(),
            begun: 0,
        });
        if step.attempt != attempt {
            step.outcomes.clear();
        }
        self.open.retain(|key| *key != started.key);
        self.open.push(started.key.clone());
        step.attempt = attempt;
        step.started = started.clone();
        step.outcomes.push(Outcome::Open);
    }

    fn finish(&mut self, key: &str, ended: Served) {
        self.open.retain(|open| open != key);
        let Some(step) = self.steps.get_mut(key) else { return };
        step.is_completed |= matches!(ended, Served::Completed { .. });
        if let Some(last) = step.outcomes.last_mut() {
            *last = Outcome::Ended(ended);
        }
    }
}

/// Returns whether errand itself appended the messages as the run ended: its input and its output.
/// A replay appends nothing there.
pub(super) fn is_last_word(body: &EventBody, event: &Event, next: Option<&Event>) -> bool {
    matches!(body, EventBody::SessionAppended(_))
        && next.is_some_and(|next| next.kind == "attempt.exited" && next.at == event.at)
}

/// Returns true for an event about refused calls: a replay is refused them again, and reports nothing.
fn is_of_gateway(reported: &Reported) -> bool {
    [MODEL_REFUSED, TOOL_REFUSED].contains(&reported.type_name())
        && reported.data()["refused_by"] == REFUSED_BY
}
