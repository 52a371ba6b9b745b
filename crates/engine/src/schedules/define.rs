//! Creation, change, pause and removal of schedules.

use errand_store::{DocumentKind, DocumentWrite, Expect};

use super::Error;
use super::read::{LIMIT, documents, load};
use super::schedule::{RegisteredSchedule, ScheduleDefinition, ScheduleView};
use crate::firing::{is_changed, is_name, is_session, put};
use crate::outbox::read;
use crate::{Engine, Error as EngineError, named};

/// Tries of a change that collides with changes by others.
const TRIES: usize = 16;

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
) -> Result<(ScheduleView, bool), EngineError> {
    if !is_name(name) {
        let reason = format!(
            "{name:?} is no name of a schedule: 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with \
             a letter or digit"
        );
        return Err(Error::Invalid { pointer: "/name", reason }.into());
    }
    definition.clockwork().map_err(Error::from)?;
    if let Some(session) = definition.session_id.as_ref().filter(|session| !is_session(session)) {
        let reason = format!("{session:?} cannot be a session: a name without a slash");
        return Err(Error::Invalid { pointer: "/session_id", reason }.into());
    }
    if definition.labels.keys().any(String::is_empty) {
        let reason = "a label has no name".to_owned();
        return Err(Error::Invalid { pointer: "/labels", reason }.into());
    }
    definition.firing(namespace, name, None).check(engine).await?;
    for _ in 0..TRIES {
        let now = engine.now();
        let found = engine.store().document(DocumentKind::Schedule, namespace, name).await?;
        let (schedule, expect) = match &found {
            Some(_) if existing == Existing::Refuse => {
                return Err(Error::Exists { name: name.to_owned() }.into());
            }
            Some(document) => {
                let before: RegisteredSchedule = read(document)?;
                let same_slots = before.definition.cron == definition.cron
                    && before.definition.timezone == definition.timezone
                    && before.definition.enabled == definition.enabled;
                let since = if same_slots { before.since } else { now };
                let schedule =
                    RegisteredSchedule { definition: definition.clone(), since, ..before };
                (schedule, Expect::Revision(document.revision))
            }
            None => (fresh(engine, namespace, definition.clone()).await?, Expect::Absent),
        };
        match write(engine, (namespace, name), &schedule, expect).await {
            Ok(()) => return Ok((schedule.view(name, now), found.is_none())),
            Err(error) if is_changed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended { name: name.to_owned() }.into())
}

async fn fresh(
    engine: &Engine,
    namespace: Option<&str>,
    definition: ScheduleDefinition,
) -> Result<RegisteredSchedule, EngineError> {
    let known = documents(engine, namespace, None, LIMIT).await?.len();
    if u32::try_from(known).unwrap_or(u32::MAX) >= LIMIT {
        return Err(Error::TooMany { limit: LIMIT }.into());
    }
    let now = engine.now();
    Ok(RegisteredSchedule {
        definition,
        created_at: now,
        since: now,
        last_slot_at: None,
        last_run_id: None,
        recent: Vec::new(),
    })
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
) -> Result<ScheduleView, EngineError> {
    change(engine, (namespace, name), |schedule| schedule.definition.enabled = false).await
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
) -> Result<ScheduleView, EngineError> {
    let now = engine.now();
    change(engine, (namespace, name), |schedule| {
        if !schedule.definition.enabled {
            (schedule.definition.enabled, schedule.since) = (true, now);
        }
    })
    .await
}

/// Changes a schedule and writes it.
pub(super) async fn change(
    engine: &Engine,
    (namespace, name): (Option<&str>, &str),
    change: impl Fn(&mut RegisteredSchedule) + Send + Sync,
) -> Result<ScheduleView, EngineError> {
    for _ in 0..TRIES {
        let (mut schedule, revision) = load(engine, namespace, name).await?;
        change(&mut schedule);
        let expect = Expect::Revision(revision);
        match write(engine, (namespace, name), &schedule, expect).await {
            Ok(()) => return Ok(schedule.view(name, engine.now())),
            Err(error) if is_changed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended { name: name.to_owned() }.into())
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
    for _ in 0..TRIES {
        let (_, revision) = load(engine, namespace, name).await?;
        let place = (DocumentKind::Schedule, namespace, name);
        if named::remove(engine, place, revision).await? {
            return Ok(());
        }
    }
    Err(Error::Contended { name: name.to_owned() }.into())
}

/// Returns the write of a schedule, for a commit.
pub(super) fn to_write(
    (namespace, name): (Option<&str>, &str),
    schedule: &RegisteredSchedule,
    expect: Expect,
) -> DocumentWrite {
    let place = (DocumentKind::Schedule, namespace, name.to_owned());
    put(place, schedule, expect, schedule.next_slot())
}

pub(super) async fn write(
    engine: &Engine,
    place: (Option<&str>, &str),
    schedule: &RegisteredSchedule,
    expect: Expect,
) -> Result<(), EngineError> {
    Ok(engine.store().write_documents(vec![to_write(place, schedule, expect)]).await?)
}
