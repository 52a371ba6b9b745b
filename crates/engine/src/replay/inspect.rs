//! Description of a replay, without running it: each recorded event, and the use a strict replay
//! makes of it.

use std::collections::BTreeMap;

use errand_model::event::{Event, EventBody, EventGroup, ResultEvent, RunEvent, StepEvent};
use errand_model::{Payload, RunId, Timestamp};

use super::Error;
use super::effects::{Call, effects};
use crate::Engine;
use crate::again::{journal, reconciled};

/// Description of a run's replay.
#[derive(Clone, Debug)]
pub struct Narrative {
    /// Id of the run.
    pub run_id: RunId,
    /// Events described, in order.
    pub told: Vec<ReplayedEvent>,
    /// Tool calls with external side effects, which a live replay would repeat.
    pub effects: Vec<Call>,
    /// Reason why a strict replay is impossible; `None` if it is possible.
    pub not_strict: Option<String>,
}

/// A described event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedEvent {
    /// Number of the event.
    pub seq: u64,
    /// Time of the event.
    pub at: Timestamp,
    /// Number of the attempt; 0 for none.
    pub attempt: u32,
    /// Use that a strict replay makes of it.
    pub then: StrictReplayAction,
    /// Description in a few words.
    pub text: String,
}

/// Use that a strict replay makes of a recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrictReplayAction {
    /// The agent gets the recorded result; nothing is executed.
    Served,
    /// The agent's action is compared with it.
    Compared,
    /// None: the event is only shown.
    Told,
}

impl StrictReplayAction {
    /// Returns its name for output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Compared => "compared",
            Self::Told => "told",
        }
    }
}

/// Describes the replay of a run. Nothing runs, and nothing is recorded.
///
/// # Errors
///
/// If the registry fails, or its journal has an event that this program does not know.
pub async fn inspect(engine: &Engine, run_id: &RunId) -> Result<Narrative, Error> {
    let run = reconciled(engine, run_id).await?.run;
    let events = journal(engine, run_id).await?;
    let unknown = errand_model::replay::NotReplayable::from;
    let mut began = BTreeMap::new();
    let mut all = Vec::new();
    for event in &events {
        let body = event.body().map_err(unknown)?;
        if let Some((then, text)) = tell(&mut began, event, &body) {
            let Event { seq, at, attempt, .. } = *event;
            all.push(ReplayedEvent { seq, at, attempt, then, text });
        }
    }
    let not_strict = errand_model::replay::RecordedRun::of(&run, &events).err();
    Ok(Narrative {
        run_id: run_id.clone(),
        told: all,
        effects: effects(&events).map_err(unknown)?,
        not_strict: not_strict.map(|why| why.to_string()),
    })
}

/// Describes an event; `None` for one that is not shown.
fn tell(
    began: &mut BTreeMap<String, String>,
    event: &Event,
    body: &EventBody,
) -> Option<(StrictReplayAction, String)> {
    let told = match body.group() {
        EventGroup::Step(event) => return tell_step(began, event),
        EventGroup::Result(ResultEvent::ArtifactCreated(file)) => (
            StrictReplayAction::Compared,
            format!("artifact {:?} of {} bytes", file.name, file.size_bytes),
        ),
        EventGroup::Reported(reported) => {
            let data = reported.data().to_string();
            (StrictReplayAction::Compared, format!("{} {}", reported.type_name(), cut(&data)))
        }
        EventGroup::Run(RunEvent::Completed(completed)) => {
            let output = gave(completed.output.as_ref());
            (
                StrictReplayAction::Compared,
                format!("the run ended well, with {output} as its output"),
            )
        }
        EventGroup::Run(RunEvent::Failed(failed)) => {
            (StrictReplayAction::Compared, format!("the run failed: {}", failed.error.message))
        }
        EventGroup::Question(_) => {
            (StrictReplayAction::Served, format!("{} {}", event.kind, cut(&event.data)))
        }
        EventGroup::Attempt(_) | EventGroup::Run(_) => {
            (StrictReplayAction::Told, event.kind.clone())
        }
        EventGroup::Result(_)
        | EventGroup::Limit(_)
        | EventGroup::Session(_)
        | EventGroup::Coordination(_)
        | EventGroup::Service(_) => {
            (StrictReplayAction::Told, format!("{} {}", event.kind, cut(&event.data)))
        }
    };
    Some(told)
}

/// Returns the line about an event of a step; `None` for the start of one, which its end repeats.
fn tell_step(
    began: &mut BTreeMap<String, String>,
    event: StepEvent<'_>,
) -> Option<(StrictReplayAction, String)> {
    let detail_of = |key: &str| of(began.get(key).map_or("", String::as_str));
    Some(match event {
        StepEvent::Started(started) => {
            let detail = started.detail.clone().unwrap_or_default();
            began.insert(started.key.clone(), detail);
            return None;
        }
        StepEvent::Completed(done) => {
            let (gave, took) = (gave(done.output.as_ref()), done.duration.as_millis());
            let detail = detail_of(&done.key);
            (
                StrictReplayAction::Served,
                format!("step {:?} gave {gave} after {took} ms{detail}", done.key),
            )
        }
        StepEvent::Failed(failed) => {
            let (how, detail) = (&failed.error.message, detail_of(&failed.key));
            (StrictReplayAction::Served, format!("step {:?} failed: {how}{detail}", failed.key))
        }
        StepEvent::Inherited(step) => {
            let gave = gave(step.output.as_ref());
            (StrictReplayAction::Served, format!("step {:?} was taken over, with {gave}", step.key))
        }
        StepEvent::CheckpointInherited(saved) => (
            StrictReplayAction::Served,
            format!("a checkpoint was taken over, {}", gave(Some(&saved.state))),
        ),
        StepEvent::CheckpointSaved(saved) => (
            StrictReplayAction::Compared,
            format!("a checkpoint was saved, {}", gave(Some(&saved.state))),
        ),
    })
}

fn of(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn gave(payload: Option<&Payload>) -> String {
    match payload {
        None => "nothing".to_owned(),
        Some(Payload::Json(value)) => cut(&value.to_string()),
        Some(Payload::Text(text)) => cut(&format!("{text:?}")),
        Some(Payload::Base64(text)) => format!("{} bytes", text.len() / 4 * 3),
        Some(Payload::Blob(blob)) => format!("{} bytes", blob.size_bytes),
    }
}

/// Cuts a text to fit into a line.
fn cut(text: &str) -> String {
    const CHARS: usize = 100;
    if text.chars().count() <= CHARS {
        return text.to_owned();
    }
    text.chars().take(CHARS).chain("…".chars()).collect()
}
