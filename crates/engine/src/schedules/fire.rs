//! Firing of slots: each with its run in one commit.

use errand_model::event::Overlap;
use errand_model::schedule::may_overlap;
use errand_model::{RunId, Timestamp};
use errand_store::{Document, Expect};

use super::Error;
use super::define::{to_write, write};
use super::read::load;
use super::schedule::{Fired, RegisteredSchedule};
use crate::firing::is_changed;
use crate::outbox::read;
use crate::{Engine, Error as EngineError, admit, submit};

/// Tries of a requested fire that collides with changes by others.
const TRIES: usize = 16;

/// Result of handling a due schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScheduleOutcome {
    /// Its slots were fired or skipped, by this process or another.
    To,
    /// A slot waits until the previous run is over.
    Waits,
}

/// Fires and skips the due slots of one schedule.
pub(super) async fn fire_due(
    engine: &Engine,
    document: &Document,
) -> Result<ScheduleOutcome, EngineError> {
    let now = engine.now();
    let (namespace, name) = (document.namespace.as_deref(), document.key.as_str());
    let mut schedule: RegisteredSchedule = read(document)?;
    let mut revision = document.revision;
    let clockwork = schedule.definition.clockwork().map_err(Error::from)?;
    let due = clockwork.due(&schedule.progress(), schedule.since, now);
    let overlap = schedule.definition.overlap;
    let mut is_busy = is_busy(engine, &schedule).await?;
    if is_busy && overlap == Overlap::Queue && !due.fire.is_empty() {
        return Ok(ScheduleOutcome::Waits);
    }
    if let Some((slots, slot)) = due.skipped {
        let why = "missed while no server was there to fire it".to_owned();
        schedule.note(skipped(slot, now, why, slots));
        if !save(engine, (namespace, name), &schedule, &mut revision).await? {
            return Ok(ScheduleOutcome::To);
        }
    }
    for slot in due.fire {
        if is_busy && overlap == Overlap::Queue {
            return Ok(ScheduleOutcome::Waits);
        }
        let fired = if may_overlap(overlap, is_busy) {
            fire(engine, (namespace, name), &mut schedule, (Some(slot), revision)).await
        } else {
            let why = "the run before it is not over".to_owned();
            schedule.note(skipped(slot, now, why, 1));
            if !save(engine, (namespace, name), &schedule, &mut revision).await? {
                return Ok(ScheduleOutcome::To);
            }
            continue;
        };
        match fired {
            Ok(_) => (is_busy, revision) = (true, revision.saturating_add(1)),
            Err(error) if is_changed(&error) => return Ok(ScheduleOutcome::To),
            // The registry may be back later: the slot stays due.
            Err(EngineError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(schedule = name, error = %error, "a slot cannot be fired");
                schedule.note(skipped(slot, now, format!("it cannot be fired: {error}"), 1));
                if !save(engine, (namespace, name), &schedule, &mut revision).await? {
                    return Ok(ScheduleOutcome::To);
                }
            }
        }
    }
    if schedule.next_slot().is_some_and(|next| next <= now) {
        // Nothing fired and nothing was skipped, and yet it is due: its stored due time is
        // refreshed, so that it is not found again and again.
        save(engine, (namespace, name), &schedule, &mut revision).await?;
    }
    Ok(ScheduleOutcome::To)
}

fn skipped(slot: Timestamp, now: Timestamp, why: String, slots: u64) -> Fired {
    Fired { slot_ms: Some(slot), at_ms: now, run_id: None, skipped: Some(why), slots }
}

/// Writes a schedule; returns false if another process changed it, and handles its slots.
async fn save(
    engine: &Engine,
    place: (Option<&str>, &str),
    schedule: &RegisteredSchedule,
    revision: &mut u64,
) -> Result<bool, EngineError> {
    match write(engine, place, schedule, Expect::Revision(*revision)).await {
        Ok(()) => {
            *revision = revision.saturating_add(1);
            Ok(true)
        }
        Err(error) if is_changed(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if the run that was fired last is not over.
async fn is_busy(engine: &Engine, schedule: &RegisteredSchedule) -> Result<bool, EngineError> {
    let Some(run_id) = &schedule.last_run_id else { return Ok(false) };
    match engine.store().load(run_id).await {
        Ok(found) => Ok(found.is_some_and(|stored| !stored.run.status.is_terminal())),
        // A damaged run will never go on.
        Err(errand_store::Error::Damaged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Admits the run of a slot in the commit that advances the schedule.
async fn fire(
    engine: &Engine,
    (namespace, name): (Option<&str>, &str),
    schedule: &mut RegisteredSchedule,
    (slot, revision): (Option<Timestamp>, u64),
) -> Result<RunId, EngineError> {
    let submission = schedule.definition.firing(namespace, name, slot).check(engine).await?;
    let mut admission = admit::admission(engine, submission).await?;
    let run_id = admission.run.id.clone();
    let mut moved_on = schedule.clone();
    moved_on.note(Fired {
        slot_ms: slot,
        at_ms: engine.now(),
        run_id: Some(run_id.clone()),
        skipped: None,
        slots: u64::from(slot.is_some()),
    });
    let expect = Expect::Revision(revision);
    admission.documents = vec![to_write((namespace, name), &moved_on, expect)];
    submit::admit_prepared(engine, admission).await?;
    *schedule = moved_on;
    Ok(run_id)
}

/// Fires a run of a schedule at once, regardless of its slots and of a pause.
///
/// # Errors
///
/// [`Error::NotFound`]; errors of agent and input.
pub async fn fire_now(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<RunId, EngineError> {
    for _ in 0..TRIES {
        let (mut schedule, revision) = load(engine, namespace, name).await?;
        match fire(engine, (namespace, name), &mut schedule, (None, revision)).await {
            Err(error) if is_changed(&error) => {}
            fired => return fired,
        }
    }
    Err(Error::Contended { name: name.to_owned() }.into())
}
