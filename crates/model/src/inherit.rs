//! Work that a new run takes over from another run: completed steps and a checkpoint.
//!
//! The new run's journal records that work as its own events, so the other journal is not needed
//! again.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::RunId;
use crate::event::{
    CheckpointInherited, Event, EventBody, StepCompleted, StepEvent, StepInherited, StepStarted,
    UnknownEvent,
};

/// End of the part of a journal that is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InheritanceEnd<'a> {
    /// With its last event.
    End,
    /// Before the step of that key was begun first.
    Step(&'a str),
}

/// Work that is taken over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InheritedWork {
    /// The last event that was looked at.
    pub upto_seq: u64,
    /// Steps in the order in which they were completed, then the checkpoint.
    pub events: Vec<EventBody>,
}

/// Reason why no work can be taken over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotInheritable {
    /// No step of that key was begun.
    #[error("run {run_id} has no step {key:?}{}", known(keys))]
    Step {
        /// The run.
        run_id: RunId,
        /// Key as given.
        key: String,
        /// The keys that there are, in the order in which they were begun.
        keys: Vec<String>,
    },
    /// An event that this program does not know.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
}

/// Keys that are named in a message; of more, so many.
const NAMED_KEYS: usize = 40;

fn known(keys: &[String]) -> String {
    if keys.is_empty() {
        return "; it has none".to_owned();
    }
    let named: Vec<_> = keys.iter().take(NAMED_KEYS).map(|key| format!("{key:?}")).collect();
    let more = keys.len().saturating_sub(NAMED_KEYS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; its steps are {}{more}", named.join(", "))
}

/// Returns the work that a run takes over from `run_id`, whose whole journal is `events`.
///
/// # Errors
///
/// [`NotInheritable`].
pub fn inherit(
    run_id: &RunId,
    events: &[Event],
    upto: InheritanceEnd<'_>,
) -> Result<InheritedWork, NotInheritable> {
    let mut begun: BTreeMap<String, StepStarted> = BTreeMap::new();
    let mut keys = Keys::default();
    let mut steps: Vec<StepInherited> = Vec::new();
    let mut heritage = InheritedWork::default();
    let mut checkpoint = None;
    let cut = |key: &str| upto == InheritanceEnd::Step(key);
    let mut found = upto == InheritanceEnd::End;
    for event in events {
        let body = event.body()?;
        match body.step() {
            Some(StepEvent::Started(started)) => {
                found |= cut(&started.key);
                keys.note(&started.key);
                begun.insert(started.key.clone(), started.clone());
            }
            Some(StepEvent::Inherited(step)) => {
                found |= cut(&step.key);
                keys.note(&step.key);
                if !is_past(upto, found) {
                    steps.push(step.clone());
                }
            }
            Some(StepEvent::Completed(done)) if !is_past(upto, found) => {
                steps.extend(begun.get(&done.key).map(|started| completed(started, done)));
            }
            Some(StepEvent::CheckpointSaved(saved)) if !is_past(upto, found) => {
                checkpoint = Some(saved.state.clone());
            }
            Some(StepEvent::CheckpointInherited(saved)) if !is_past(upto, found) => {
                checkpoint = Some(saved.state.clone());
            }
            Some(
                StepEvent::Completed(_)
                | StepEvent::Failed(_)
                | StepEvent::CheckpointSaved(_)
                | StepEvent::CheckpointInherited(_),
            )
            | None => {}
        }
        if !is_past(upto, found) {
            heritage.upto_seq = event.seq;
        }
    }
    if let (InheritanceEnd::Step(key), false) = (upto, found) {
        return Err(NotInheritable::Step {
            run_id: run_id.clone(),
            key: key.to_owned(),
            keys: keys.ordered,
        });
    }
    heritage.events = steps.into_iter().map(EventBody::StepInherited).collect();
    let checkpoint = checkpoint.map(|state| CheckpointInherited { state });
    heritage.events.extend(checkpoint.map(EventBody::CheckpointInherited));
    Ok(heritage)
}

/// Returns true for an event after the end of the part, once the step that ends it was `found`.
fn is_past(upto: InheritanceEnd<'_>, found: bool) -> bool {
    matches!(upto, InheritanceEnd::Step(_)) && found
}

/// Keys in the order in which they came first.
#[derive(Default)]
struct Keys {
    known: BTreeSet<String>,
    ordered: Vec<String>,
}

impl Keys {
    fn note(&mut self, key: &str) {
        if self.known.insert(key.to_owned()) {
            self.ordered.push(key.to_owned());
        }
    }
}

fn completed(started: &StepStarted, done: &StepCompleted) -> StepInherited {
    StepInherited {
        key: done.key.clone(),
        kind: started.kind.clone(),
        fingerprint: started.fingerprint.clone(),
        detail: started.detail.clone(),
        output: done.output.clone(),
        stderr: done.stderr.clone(),
        duration: done.duration,
    }
}
