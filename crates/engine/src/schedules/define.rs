//! Creation, change, pause, list and removal of schedules.

use errand_api::gateway::schedule::Schedule;

use super::schedule::{RegisteredSchedule, ScheduleDefinition};
use crate::firing::is_session;
use crate::named::{self, Error, is_name};
use crate::{Engine, Error as EngineError};

/// Treatment of an existing schedule of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse: nothing changes.
    Refuse,
    /// Change the existing schedule.
    Change,
}

/// Creates a schedule, or changes the one of that name. Returns true if it is new.
///
/// Slots before this moment are dropped, unless cron line, time zone and enabling stay the same.
///
/// # Errors
///
/// [`Error`]; errors of agent and input. Nothing changed then.
pub async fn define(
    engine: &Engine,
    namespace: Option<&str>,
    (name, existing): (&str, Existing),
    definition: &ScheduleDefinition,
) -> Result<(Schedule, bool), EngineError> {
    check(name, definition)?;
    definition.firing(namespace, name, None).check(engine).await?;
    let change = |before: Option<RegisteredSchedule>| {
        let (definition, now) = (definition.clone(), engine.now());
        Ok(match before {
            Some(_) if existing == Existing::Refuse => {
                return Err(Error::ScheduleExists { name: name.to_owned() }.into());
            }
            Some(before) => {
                let same_slots = before.definition.cron == definition.cron
                    && before.definition.timezone == definition.timezone
                    && before.definition.enabled == definition.enabled;
                let since = if same_slots { before.since } else { now };
                RegisteredSchedule { definition, since, ..before }
            }
            None => RegisteredSchedule::new(definition, now),
        })
    };
    let (schedule, is_new) = named::change(engine, (namespace, name), change).await?;
    Ok((schedule.view(name, engine.now()), is_new))
}

fn check(name: &str, definition: &ScheduleDefinition) -> Result<(), EngineError> {
    let invalid =
        |pointer, reason| Err(Error::invalid::<RegisteredSchedule>(pointer, reason).into());
    if !is_name(name) {
        let reason = format!(
            "{name:?} is no name of a schedule: 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with \
             a letter or digit"
        );
        return invalid("/name", reason);
    }
    definition.parse()?;
    if let Some(session) = definition.session_id.as_ref().filter(|session| !is_session(session)) {
        let reason = format!("{session:?} cannot be a session: a name without a slash");
        return invalid("/session_id", reason);
    }
    if definition.labels.keys().any(String::is_empty) {
        return invalid("/labels", "a label has no name".to_owned());
    }
    Ok(())
}

/// Pauses a schedule. Slots that pass meanwhile never fire.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn pause(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<Schedule, EngineError> {
    let pause = |schedule: &mut RegisteredSchedule| schedule.definition.enabled = false;
    change(engine, (namespace, name), pause).await
}

/// Resumes a schedule from its next slot on.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn resume(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<Schedule, EngineError> {
    let now = engine.now();
    let resume = |schedule: &mut RegisteredSchedule| {
        if !schedule.definition.enabled {
            (schedule.definition.enabled, schedule.since) = (true, now);
        }
    };
    change(engine, (namespace, name), resume).await
}

async fn change(
    engine: &Engine,
    (namespace, name): named::DefinitionKey<'_>,
    change: impl Fn(&mut RegisteredSchedule) + Send + Sync,
) -> Result<Schedule, EngineError> {
    let change = |found: Option<RegisteredSchedule>| {
        let mut schedule = found.ok_or_else(|| named::not_found::<RegisteredSchedule>(name))?;
        change(&mut schedule);
        Ok(schedule)
    };
    let (schedule, _) = named::change(engine, (namespace, name), change).await?;
    Ok(schedule.view(name, engine.now()))
}

/// Returns a schedule.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn get(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<Schedule, EngineError> {
    let (schedule, _) = named::load::<RegisteredSchedule>(engine, (namespace, name)).await?;
    Ok(schedule.view(name, engine.now()))
}

/// Lists the schedules of a namespace by name: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Schedule>, EngineError> {
    let now = engine.now();
    let found = named::list::<RegisteredSchedule>(engine, namespace, after, limit).await?;
    Ok(found.into_iter().map(|(name, schedule)| schedule.view(&name, now)).collect())
}

/// Removes a schedule. The runs that it fired stay.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn remove(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), EngineError> {
    named::remove::<RegisteredSchedule>(engine, (namespace, name)).await
}
