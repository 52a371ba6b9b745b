//! Document of a schedule, and the slots that follow from it.

use std::collections::BTreeMap;

use errand_model::event::{Missed, Overlap, ScheduleSource, ScheduleSpec, Trigger, TriggerKind};
use errand_model::schedule::{InvalidSchedule, ParsedSchedule};
use errand_model::{RunId, Timestamp, run};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::firing::Firing;
use crate::payload::input_of_value;

/// Past slots kept, the latest first.
const KEPT: usize = 20;
/// Future slots shown.
const SHOWN: usize = 5;

/// Definition of a schedule as a user gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDefinition {
    /// `name`, or `name@version`, of a registered agent.
    pub agent: String,
    /// A cron line.
    pub cron: String,
    /// An IANA time zone.
    pub timezone: String,
    /// Input of the runs; `None` for no input.
    pub input: Option<Value>,
    /// Treatment of slots that passed while no server ran.
    pub missed: Missed,
    /// Treatment of a slot while the previous run is not over.
    pub overlap: Overlap,
    /// Labels of the runs.
    pub labels: BTreeMap<String, String>,
    /// Session of the runs.
    pub session_id: Option<String>,
    /// True if slots fire.
    pub enabled: bool,
}

/// A schedule with its progress. Key: its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisteredSchedule {
    /// Definition as the user gave it.
    #[serde(flatten)]
    pub definition: ScheduleDefinition,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time before which slots are dropped: when it was created, changed or resumed.
    pub since: Timestamp,
    /// The latest slot that was fired or skipped: no slot up to it ever fires again.
    pub last_slot_at: Option<Timestamp>,
    /// The run that was fired last.
    pub last_run_id: Option<RunId>,
    /// Results of the latest slots, the latest first.
    pub recent: Vec<Fired>,
}

/// Result of a slot, or of several that were skipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The slot, the latest of several; `None` for a fire on request.
    pub slot_ms: Option<Timestamp>,
    /// Time of the result.
    pub at_ms: Timestamp,
    /// The run, if one was fired.
    pub run_id: Option<RunId>,
    /// Reason why none was fired.
    pub skipped: Option<String>,
    /// Number of slots.
    pub slots: u64,
}

/// A schedule as shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleView {
    /// Name of the schedule.
    pub name: String,
    /// Definition as the user gave it.
    #[serde(flatten)]
    pub definition: ScheduleDefinition,
    /// Time of creation.
    pub created_at_ms: Timestamp,
    /// The latest slot that was fired or skipped.
    pub last_slot_at_ms: Option<Timestamp>,
    /// The run that was fired last.
    pub last_run_id: Option<RunId>,
    /// The next slots; empty while it is paused.
    pub next_fires_ms: Vec<Timestamp>,
    /// Results of the latest slots, the latest first.
    pub recent: Vec<Fired>,
}

impl ScheduleDefinition {
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

    pub(super) fn clockwork(&self) -> Result<ParsedSchedule, InvalidSchedule> {
        ParsedSchedule::of(&self.spec())
    }

    /// Returns the run of a slot; `None` for a fire on request.
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

impl RegisteredSchedule {
    /// Returns the progress in the form of the model.
    pub(super) fn progress(&self) -> run::SessionSchedule {
        run::SessionSchedule {
            spec: self.definition.spec(),
            last_slot_at: self.last_slot_at.map(|slot| slot.max(self.since)),
            last_fired_at: None,
        }
    }

    /// Returns the next slot; `None` while it is paused, and if none is left.
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

    pub(super) fn view(self, name: &str, now: Timestamp) -> ScheduleView {
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
        ScheduleView {
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
