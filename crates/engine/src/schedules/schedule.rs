//! A schedule as a document, and what follows from it at a moment.

use std::collections::BTreeMap;

use errand_model::event::{Missed, Overlap, ScheduleSource, ScheduleSpec, Trigger, TriggerKind};
use errand_model::schedule::{Clockwork, Misunderstood};
use errand_model::{RunId, Timestamp, run};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::firing::Firing;
use crate::payload::input_of_value;

/// Slots of the past that are kept, the latest first.
const KEPT: usize = 20;
/// Slots of the future that are shown.
const SHOWN: usize = 5;

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `name`, or `name@version`, of a registered agent.
    pub agent: String,
    /// A cron line.
    pub cron: String,
    /// An IANA time zone.
    pub timezone: String,
    /// What the agent is given; `None`: nothing.
    pub input: Option<Value>,
    /// What happens to slots that passed while no server was there.
    pub missed: Missed,
    /// What happens to a slot while the run before it is not over.
    pub overlap: Overlap,
    /// Labels of the runs.
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to.
    pub session_id: Option<String>,
    /// Whether slots fire.
    pub enabled: bool,
}

/// A schedule and how far it is. Key: its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// What was asked for.
    #[serde(flatten)]
    pub definition: Definition,
    /// When it was made.
    pub created_at: Timestamp,
    /// Slots until then are none of it: when it was made, changed or resumed.
    pub since: Timestamp,
    /// The latest slot that was fired or skipped: none at or before it ever fires again.
    pub last_slot_at: Option<Timestamp>,
    /// The run that was fired last.
    pub last_run_id: Option<RunId>,
    /// What became of the latest slots, the latest first.
    pub recent: Vec<Fired>,
}

/// What became of a slot, or of several that were skipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The slot, the latest of several; `None`: somebody asked.
    pub slot_ms: Option<Timestamp>,
    /// When it was seen to.
    pub at_ms: Timestamp,
    /// The run, where one was fired.
    pub run_id: Option<RunId>,
    /// Why none was fired.
    pub skipped: Option<String>,
    /// How many slots.
    pub slots: u64,
}

/// A schedule as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// What it is called.
    pub name: String,
    /// What was asked for.
    #[serde(flatten)]
    pub definition: Definition,
    /// When it was made.
    pub created_at_ms: Timestamp,
    /// The latest slot that was fired or skipped.
    pub last_slot_at_ms: Option<Timestamp>,
    /// The run that was fired last.
    pub last_run_id: Option<RunId>,
    /// The next slots; none while it is paused.
    pub next_fires_ms: Vec<Timestamp>,
    /// What became of the latest slots, the latest first.
    pub recent: Vec<Fired>,
}

impl Definition {
    fn spec(&self) -> ScheduleSpec {
        ScheduleSpec {
            id: String::new(),
            schedule_expr: self.cron.clone(),
            timezone: self.timezone.clone(),
            payload: None,
            missed: self.missed,
            overlap: self.overlap,
            source: ScheduleSource::Api,
            settled_until: None,
        }
    }

    pub(super) fn clockwork(&self) -> Result<Clockwork, Misunderstood> {
        Clockwork::of(&self.spec())
    }

    /// The run of a slot; `None`: of no slot, since somebody asked.
    pub(super) fn firing(
        &self,
        namespace: Option<&str>,
        name: &str,
        slot: Option<Timestamp>,
    ) -> Firing {
        Firing {
            namespace: namespace.map(str::to_owned),
            agent: self.agent.clone(),
            trigger: Trigger {
                kind: TriggerKind::Schedule,
                source: Some(name.to_owned()),
                payload: Some(json!({
                    "schedule_id": name,
                    "slot_ms": slot,
                    "cron": self.cron,
                    "timezone": self.timezone,
                })),
            },
            input: self.input.as_ref().map(input_of_value),
            labels: self.labels.clone(),
            session_id: self.session_id.clone(),
        }
    }
}

impl Schedule {
    /// How far it is, as the model has it.
    pub(super) fn progress(&self) -> run::Schedule {
        run::Schedule {
            spec: self.definition.spec(),
            last_slot_at: self.last_slot_at.map(|slot| slot.max(self.since)),
            last_fired_at: None,
        }
    }

    /// The next slot; `None` while it is paused, and if none is left.
    pub(super) fn next_slot(&self) -> Option<Timestamp> {
        let clockwork = self.definition.clockwork().ok()?;
        let next = clockwork.next_slot(&self.progress(), self.since);
        next.filter(|_| self.definition.enabled)
    }

    pub(super) fn note(&mut self, fired: Fired) {
        if let Some(slot) = fired.slot_ms {
            self.last_slot_at = Some(slot);
        }
        if fired.run_id.is_some() {
            self.last_run_id.clone_from(&fired.run_id);
        }
        self.recent.insert(0, fired);
        self.recent.truncate(KEPT);
    }

    pub(super) fn view(self, name: &str, now: Timestamp) -> View {
        let mut next_fires_ms = Vec::new();
        if let (Ok(clockwork), true) = (self.definition.clockwork(), self.definition.enabled) {
            let mut after = now.max(self.since);
            while let Some(slot) =
                clockwork.next_after(after).filter(|_| next_fires_ms.len() < SHOWN)
            {
                next_fires_ms.push(slot);
                after = slot;
            }
        }
        View {
            name: name.to_owned(),
            definition: self.definition,
            created_at_ms: self.created_at,
            last_slot_at_ms: self.last_slot_at,
            last_run_id: self.last_run_id,
            next_fires_ms,
            recent: self.recent,
        }
    }
}
