//! Which workers there are, and what they do: as each tells of itself with its heartbeat.
//!
//! One that is not heard of any more is forgotten after a while. For people: nothing is decided by
//! what is told here.

use std::time::Duration;

use errand_api::worker::Worker;
use errand_store::{
    DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect, Namespaces,
};

use crate::{Engine, Error};

/// The most workers that are listed.
pub const WORKERS_LIMIT: u32 = 1_000;
/// A worker that is not heard of for so many of its leases is not listed any more.
const FORGOTTEN_AFTER_LEASES: u32 = 3;
/// The most runs that a worker tells of: what it does can be seen from these.
pub(crate) const RUNS_TOLD: usize = 100;

/// All workers that were heard of lately, by name.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(engine: &Engine) -> Result<Vec<Worker>, Error> {
    let query = DocumentQuery {
        kind: DocumentKind::Worker,
        namespaces: Namespaces::One(None),
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit: WORKERS_LIMIT,
    };
    let now = engine.now();
    let documents = engine.store().documents(&query).await?;
    let heard = documents.into_iter().filter(|it| it.due_at.is_none_or(|due| now < due));
    // One of a version that tells other things is not shown.
    let workers = heard.filter_map(|document| serde_json::from_value(document.body).ok());
    let mut workers: Vec<Worker> = workers.collect();
    workers.sort_by(|one, other| (&one.name, one.since_ms).cmp(&(&other.name, other.since_ms)));
    Ok(workers)
}

/// Writes what a worker tells of itself.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn tell(
    engine: &Engine,
    key: &str,
    worker: &Worker,
    lease_for: Duration,
) -> Result<(), Error> {
    let body = serde_json::to_value(worker).map_err(|error| Error::Payload {
        reason: format!("what a worker tells of itself is no JSON: {error}"),
    })?;
    let due_at = Some(engine.now().plus(lease_for * FORGOTTEN_AFTER_LEASES));
    write(engine, key, DocumentChange::Put { body, due_at }).await
}

/// A worker is gone.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn forget(engine: &Engine, key: &str) -> Result<(), Error> {
    write(engine, key, DocumentChange::Remove).await
}

async fn write(engine: &Engine, key: &str, change: DocumentChange) -> Result<(), Error> {
    let write = DocumentWrite {
        kind: DocumentKind::Worker,
        namespace: None,
        key: key.to_owned(),
        expect: Expect::Anything,
        change,
    };
    Ok(engine.store().write_documents(vec![write]).await?)
}
