//! Reads and lists of schedules.

use errand_store::{Document, DocumentKind};

use super::Error;
use super::schedule::{RegisteredSchedule, ScheduleView};
use crate::outbox::read;
use crate::{Engine, Error as EngineError, named};

/// Most schedules of one namespace.
pub(super) const LIMIT: u32 = 1_000;

/// Returns a schedule and its revision.
pub(super) async fn load(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<(RegisteredSchedule, u64), EngineError> {
    let found = engine.store().document(DocumentKind::Schedule, namespace, name).await?;
    let document = found.ok_or_else(|| Error::NotFound { name: name.to_owned() })?;
    Ok((read(&document)?, document.revision))
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
) -> Result<ScheduleView, EngineError> {
    let (schedule, _) = load(engine, namespace, name).await?;
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
) -> Result<Vec<ScheduleView>, EngineError> {
    let now = engine.now();
    let found = documents(engine, namespace, after, limit).await?;
    found
        .iter()
        .map(|document| Ok(read::<RegisteredSchedule>(document)?.view(&document.key, now)))
        .collect()
}

pub(super) async fn documents(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Document>, EngineError> {
    Ok(named::list(engine, DocumentKind::Schedule, namespace, (after, limit)).await?)
}
