//! Descendants of a coordinator, and wakes of a service, from its journal and those of its
//! descendants.

use std::collections::BTreeMap;

use errand_engine::service::wake_label;
use errand_model::event::{
    EventBody, EventGroup, RunEvent, ServiceEvent, StepCompleted, StepEvent, StepFailed,
    StepStarted,
};
use errand_model::{Event, RunId, Timestamp};

use super::source::Logs;
use crate::failure::Failure;

/// A coordinator with its descendants, as far as their journals were read.
#[derive(Debug)]
pub(super) struct Family {
    /// The top one first.
    coordinators: Vec<Coordinator>,
    /// True for an agent that is a coordinator, by its name in the plan and its reference.
    known: BTreeMap<(String, Option<String>), bool>,
}

#[derive(Debug)]
struct Coordinator {
    run_id: RunId,
    /// Prefix of the keys of its steps.
    prefix: String,
    /// Number of the last event read.
    after: u64,
    /// Live steps.
    live: BTreeMap<String, RunId>,
    is_over: bool,
}

/// A change in the family.
#[derive(Debug)]
pub(super) enum Change {
    /// A run began.
    Began(Member),
    /// A run is over: its log is complete.
    Ended(RunId),
}

/// A run of the family.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) run_id: RunId,
    /// Keys of the steps that lead to it: `report#1/writer#2`.
    pub(super) name: String,
    pub(super) began_at: Timestamp,
    /// True for a coordinator, which prints nothing itself.
    pub(super) coordinates: bool,
}

impl Family {
    /// Returns the family of a coordinator before any journal was read.
    pub(super) fn of(run_id: RunId) -> Self {
        let top = Coordinator::new(run_id, String::new());
        Self { coordinators: vec![top], known: BTreeMap::new() }
    }

    /// Returns true if the top coordinator is over, as far as its journal was read.
    pub(super) fn is_over(&self) -> bool {
        self.coordinators.first().is_none_or(|top| top.is_over)
    }

    /// Reads new events, and returns the changes.
    pub(super) async fn look(&mut self, logs: &Logs<'_>) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        let mut place = 0;
        // Coordinators found on the way are read, too.
        while let Some(coordinator) = self.coordinators.get_mut(place) {
            place += 1;
            if coordinator.is_over {
                continue;
            }
            let events = logs.events(&coordinator.run_id, coordinator.after).await?;
            let Some(last) = events.last() else { continue };
            coordinator.after = last.seq;
            let (mut began, mut ended) = (Vec::new(), Vec::new());
            for event in &events {
                coordinator.take(event, &mut began, &mut ended);
            }
            self.add(logs, began, &mut changes).await?;
            // Runs that began and ended since the last call are in `runs` by now.
            changes.extend(ended);
            // There may be more events.
            place -= 1;
        }
        Ok(changes)
    }

    async fn add(
        &mut self,
        logs: &Logs<'_>,
        began: Vec<(Member, (String, Option<String>))>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Failure> {
        for (mut member, kind) in began {
            member.coordinates = match self.known.get(&kind) {
                Some(known) => *known,
                None => coordinates(logs, &member.run_id).await?,
            };
            self.known.insert(kind, member.coordinates);
            if member.coordinates {
                let prefix = format!("{}/", member.name);
                self.coordinators.push(Coordinator::new(member.run_id.clone(), prefix));
            }
            changes.push(Change::Began(member));
        }
        Ok(())
    }
}

impl Coordinator {
    const fn new(run_id: RunId, prefix: String) -> Self {
        Self { run_id, prefix, after: 0, live: BTreeMap::new(), is_over: false }
    }

    fn take(
        &mut self,
        event: &Event,
        began: &mut Vec<(Member, (String, Option<String>))>,
        changes: &mut Vec<Change>,
    ) {
        // An event of a newer version is skipped.
        let Ok(body) = event.body() else { return };
        match body.group() {
            EventGroup::Step(event_of_step) => {
                self.take_step(event.at, event_of_step, began, changes);
            }
            EventGroup::Service(ServiceEvent::WakeFired(fired)) => {
                let member = Member {
                    run_id: fired.run_id.clone(),
                    name: wake_label(fired.reason, &fired.run_id),
                    began_at: event.at,
                    coordinates: false,
                };
                // All wakes run the same agent, so that one check covers all.
                began.push((member, (String::new(), None)));
                // Wakes of an older version have no end event: they end with their service.
                self.live.insert(fired.run_id.to_string(), fired.run_id.clone());
            }
            EventGroup::Service(ServiceEvent::WakeEnded(ended)) => {
                changes.extend(self.live.remove(ended.run_id.as_str()).map(Change::Ended));
            }
            EventGroup::Run(
                RunEvent::Completed(_) | RunEvent::Failed(_) | RunEvent::Cancelled(_),
            ) => {
                self.is_over = true;
                changes.extend(std::mem::take(&mut self.live).into_values().map(Change::Ended));
            }
            EventGroup::Service(ServiceEvent::ListenerBound(_) | ServiceEvent::WakeSkipped(_))
            | EventGroup::Run(_)
            | EventGroup::Attempt(_)
            | EventGroup::Question(_)
            | EventGroup::Limit(_)
            | EventGroup::Session(_)
            | EventGroup::Result(_)
            | EventGroup::Coordination(_)
            | EventGroup::Reported(_) => {}
        }
    }

    fn take_step(
        &mut self,
        at: Timestamp,
        event: StepEvent<'_>,
        began: &mut Vec<(Member, (String, Option<String>))>,
        changes: &mut Vec<Change>,
    ) {
        match event {
            StepEvent::Started(StepStarted { key, run_id, detail, .. }) => {
                let Some(run_id) = run_id else { return };
                let member = Member {
                    run_id: run_id.clone(),
                    name: format!("{}{key}", self.prefix),
                    began_at: at,
                    coordinates: false,
                };
                let name = key.rsplit_once('#').map_or(key.as_str(), |(name, _)| name).to_owned();
                began.push((member, (name, detail.clone())));
                self.live.insert(key.clone(), run_id.clone());
            }
            StepEvent::Completed(StepCompleted { key, .. })
            | StepEvent::Failed(StepFailed { key, .. }) => {
                changes.extend(self.live.remove(key).map(Change::Ended));
            }
            StepEvent::CheckpointSaved(_)
            | StepEvent::Inherited(_)
            | StepEvent::CheckpointInherited(_) => {}
        }
    }
}

/// Returns true if a run is a coordinator, by the first event of its journal; false for a removed
/// run.
async fn coordinates(logs: &Logs<'_>, run_id: &RunId) -> Result<bool, Failure> {
    let first = logs.events(run_id, 0).await?.into_iter().next();
    let body = first.and_then(|event| event.body().ok());
    Ok(matches!(body, Some(EventBody::RunCreated(created)) if created.plan.is_some()))
}
