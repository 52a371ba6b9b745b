//! Firing of slots: each with its run in one commit.

use errand_api::gateway::schedule::ScheduleSlot;
use errand_model::schedule::{SkipReason, SkippedSlots, SlotStep};
use errand_model::{RunId, Timestamp};
use errand_store::{Document, Expect};
use futures_util::future::BoxFuture;

use super::schedule::RegisteredSchedule;
use crate::documents::read;
use crate::named::{self, DefinitionKey, is_changed};
use crate::{Engine, Error, admit, submit};

/// Result of handling a due schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScheduleOutcome {
    /// Due slots were fired or skipped, by this process or another.
    Handled,
    /// A slot waits until the previous run is over.
    Waits,
}

/// A schedule as it was read: a write succeeds only if no other process changed it since.
struct OpenSchedule<'a> {
    engine: &'a Engine,
    key: DefinitionKey<'a>,
    schedule: RegisteredSchedule,
    revision: u64,
}

/// Fires and skips the due slots of one schedule.
pub(super) fn fire_due<'a>(
    engine: &'a Engine,
    document: &'a Document,
) -> BoxFuture<'a, Result<ScheduleOutcome, Error>> {
    Box::pin(async move {
        let now = engine.now();
        let key = (document.namespace.as_deref(), document.key.as_str());
        let schedule: RegisteredSchedule = read(document)?;
        let mut due = schedule.definition.parse()?.due(schedule.settled_until(), now);
        let mut is_busy = is_busy(engine, &schedule).await?;
        let mut open = OpenSchedule { engine, key, schedule, revision: document.revision };
        while let Some(step) = due.next_step(is_busy) {
            let is_ours = match step {
                SlotStep::Wait => return Ok(ScheduleOutcome::Waits),
                SlotStep::Skip(SkippedSlots { slots, latest, reason }) => {
                    let why = match reason {
                        SkipReason::Missed => "missed while no server was there to fire it",
                        SkipReason::Overlap => "the run before it is not over",
                    };
                    open.skip((slots, latest), why.to_owned()).await?
                }
                SlotStep::Fire(slot) => match open.fire(Some(slot)).await {
                    Ok(_) => {
                        is_busy = true;
                        true
                    }
                    Err(error) if is_changed(&error) => false,
                    // The registry may be back later: the slot stays due.
                    Err(error @ Error::Store(_)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(schedule = key.1, error = %error, "a slot cannot be fired");
                        open.skip((1, slot), format!("it cannot be fired: {error}")).await?
                    }
                },
            };
            if !is_ours {
                return Ok(ScheduleOutcome::Handled);
            }
        }
        if open.schedule.next_slot().is_some_and(|next| next <= now) {
            // Nothing fired and nothing was skipped, and yet it is due: its stored due time is
            // refreshed, so that it is not found again and again.
            open.save().await?;
        }
        Ok(ScheduleOutcome::Handled)
    })
}

/// Returns true if the run that was fired last is not over.
async fn is_busy(engine: &Engine, schedule: &RegisteredSchedule) -> Result<bool, Error> {
    let Some(run_id) = &schedule.last_run_id else { return Ok(false) };
    match engine.store().load(run_id).await {
        Ok(found) => Ok(found.is_some_and(|stored| !stored.run.status.is_terminal())),
        // A damaged run will never go on.
        Err(errand_store::Error::Damaged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl OpenSchedule<'_> {
    /// Records slots that are not fired. Returns false if another process handles them.
    async fn skip(
        &mut self,
        (slots, latest): (u64, Timestamp),
        why: String,
    ) -> Result<bool, Error> {
        self.schedule.note(ScheduleSlot {
            slot_ms: Some(latest.as_millis()),
            at_ms: self.engine.now().as_millis(),
            run_id: None,
            skipped: Some(why),
            slots,
        });
        self.save().await
    }

    /// Writes the schedule. Returns false if another process changed it.
    async fn save(&mut self) -> Result<bool, Error> {
        let expect = Expect::Revision(self.revision);
        let is_ours = named::save(self.engine, self.key, &self.schedule, expect).await?;
        self.revision = self.revision.saturating_add(u64::from(is_ours));
        Ok(is_ours)
    }

    /// Admits the run of a slot in the commit that advances the schedule.
    async fn fire(&mut self, slot: Option<Timestamp>) -> Result<RunId, Error> {
        let firing = self.schedule.definition.firing(self.key.0, self.key.1, slot);
        let mut admission = admit::admission(self.engine, firing.check(self.engine).await?).await?;
        let run_id = admission.run.id.clone();
        let mut moved_on = self.schedule.clone();
        moved_on.note(ScheduleSlot {
            slot_ms: slot.map(Timestamp::as_millis),
            at_ms: self.engine.now().as_millis(),
            run_id: Some(run_id.clone()),
            skipped: None,
            slots: u64::from(slot.is_some()),
        });
        let expect = Expect::Revision(self.revision);
        admission.documents = vec![named::to_write(self.key, &moved_on, expect)];
        submit::admit_prepared(self.engine, admission).await?;
        (self.schedule, self.revision) = (moved_on, self.revision.saturating_add(1));
        Ok(run_id)
    }
}

/// Fires a run of a schedule at once, regardless of its slots and of a pause.
///
/// # Errors
///
/// [`named::Error::NotFound`]; errors of agent and input.
pub async fn fire_now(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<RunId, Error> {
    let key = (namespace, name);
    for _ in 0..named::TRIES {
        let (schedule, revision) = named::load(engine, key).await?;
        match (OpenSchedule { engine, key, schedule, revision }).fire(None).await {
            Err(error) if is_changed(&error) => {}
            fired => return fired,
        }
    }
    Err(named::contended::<RegisteredSchedule>(name))
}
