//! Document of a schedule, and the slots that follow from it.

use std::collections::BTreeMap;

use errand_api::gateway::schedule::{Schedule, ScheduleRequest, ScheduleSlot};
use errand_model::event::{MissedPolicy, OverlapPolicy};
use errand_model::schedule::{InvalidSchedule, ParsedSchedule};
use errand_model::{RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::firing::{FiredTrigger, Firing};
use crate::named::{Definition, DefinitionKind};
use crate::payload::input_of_value;

/// Past slots kept, the latest first.
const KEPT: usize = 20;
/// Future slots shown.
const SHOWN: usize = 5;

/// Definition of a schedule as a user gives it, with defaults filled in.
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
    pub missed: MissedPolicy,
    /// Treatment of a slot while the previous run is not over.
    pub overlap: OverlapPolicy,
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
    pub recent: Vec<ScheduleSlot>,
}

impl From<ScheduleRequest> for ScheduleDefinition {
    fn from(request: ScheduleRequest) -> Self {
        Self {
            agent: request.agent,
            cron: request.cron,
            timezone: request.timezone.unwrap_or_else(|| "UTC".to_owned()),
            input: request.input,
            missed: request.missed.unwrap_or_default(),
            overlap: request.overlap.unwrap_or_default(),
            labels: request.labels,
            session_id: request.session_id,
            enabled: request.enabled.unwrap_or(true),
        }
    }
}

impl ScheduleDefinition {
    pub(super) fn parse(&self) -> Result<ParsedSchedule, InvalidSchedule> {
        ParsedSchedule::parse(&self.cron, &self.timezone, (self.missed, self.overlap))
    }

    /// Returns the run of a slot; `None` for a fire on request.
    pub(super) fn firing(
        &self,
        namespace: Option<&str>,
        name: &str,
        slot: Option<Timestamp>,
    ) -> Firing {
        let input = self.input.as_ref().map(input_of_value);
        let mut fired = FiredTrigger::of_slot(name, (name, slot), input);
        if let Some(facts) = fired.trigger.payload.as_mut().and_then(Value::as_object_mut) {
            facts.insert("cron".to_owned(), self.cron.as_str().into());
            facts.insert("timezone".to_owned(), self.timezone.as_str().into());
        }
        Firing {
            namespace: namespace.map(str::to_owned),
            agent: self.agent.clone(),
            fired,
            labels: self.labels.clone(),
            session_id: self.session_id.clone(),
        }
    }
}

impl Definition for RegisteredSchedule {
    const KIND: DefinitionKind = DefinitionKind::Schedule;

    fn due_at(&self) -> Option<Timestamp> {
        self.next_slot()
    }
}

impl RegisteredSchedule {
    pub(super) const fn new(definition: ScheduleDefinition, now: Timestamp) -> Self {
        Self {
            definition,
            created_at: now,
            since: now,
            last_slot_at: None,
            last_run_id: None,
            recent: Vec::new(),
        }
    }

    /// Returns the time up to which no slot is left.
    pub(super) fn settled_until(&self) -> Timestamp {
        self.last_slot_at.map_or(self.since, |slot| slot.max(self.since))
    }

    /// Returns the next slot; `None` while it is paused, and if none is left.
    pub(super) fn next_slot(&self) -> Option<Timestamp> {
        let parsed = self.definition.parse().ok().filter(|_| self.definition.enabled)?;
        parsed.next_after(self.settled_until())
    }

    pub(super) fn note(&mut self, fired: ScheduleSlot) {
        if let Some(slot_ms) = fired.slot_ms {
            self.last_slot_at = Some(Timestamp::from_millis(slot_ms));
        }
        if fired.run_id.is_some() {
            self.last_run_id.clone_from(&fired.run_id);
        }
        self.recent.insert(0, fired);
        self.recent.truncate(KEPT);
    }

    /// Returns the document that clients get.
    pub(super) fn view(self, name: &str, now: Timestamp) -> Schedule {
        let parsed = self.definition.parse().ok().filter(|_| self.definition.enabled);
        let next_slot =
            |after: &Timestamp| parsed.as_ref().and_then(|parsed| parsed.next_after(*after));
        let slots = std::iter::successors(next_slot(&now.max(self.since)), next_slot);
        let next_fires_ms = slots.take(SHOWN).map(Timestamp::as_millis).collect();
        let definition = self.definition;
        Schedule {
            name: name.to_owned(),
            agent: definition.agent,
            cron: definition.cron,
            timezone: definition.timezone,
            input: definition.input,
            missed: definition.missed,
            overlap: definition.overlap,
            labels: definition.labels,
            session_id: definition.session_id,
            enabled: definition.enabled,
            created_at_ms: self.created_at.as_millis(),
            last_slot_at_ms: self.last_slot_at.map(Timestamp::as_millis),
            last_run_id: self.last_run_id,
            next_fires_ms,
            recent: self.recent,
        }
    }
}
