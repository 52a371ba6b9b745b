//! List of workers and their runs, as each reports with its heartbeat.
//!
//! A worker without heartbeats is dropped after a while. For people: nothing is decided by this
//! list.

use std::time::Duration;

use errand_api::worker::Worker;
use errand_store::{
    DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect, Namespaces,
};

use crate::Engine;
use crate::error::{PayloadRefused, operation_error};

operation_error! {
    /// Error: a worker cannot report that it is alive.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A payload is malformed or too large.
        Payload(PayloadRefused),
    }
}

/// Most workers listed.
pub const WORKERS_LIMIT: u32 = 1_000;
/// A worker is dropped after this many of its lease times without a heartbeat.
const FORGOTTEN_AFTER_LEASES: u32 = 3;
/// Most runs that a worker reports.
pub(crate) const RUNS_TOLD: usize = 100;

/// Lists all workers with a recent heartbeat, by name.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(engine: &Engine) -> Result<Vec<Worker>, errand_store::Error> {
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
    // A document in the format of another version is skipped.
    let workers = heard.filter_map(|document| serde_json::from_value(document.body).ok());
    let mut workers: Vec<Worker> = workers.collect();
    workers.sort_by(|one, other| (&one.name, one.since_ms).cmp(&(&other.name, other.since_ms)));
    Ok(workers)
}

/// Writes the heartbeat document of a worker.
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
    let body = serde_json::to_value(worker).map_err(|error| PayloadRefused {
        reason: format!("what a worker tells of itself is no JSON: {error}"),
    })?;
    let due_at = Some(engine.now().plus(lease_for * FORGOTTEN_AFTER_LEASES));
    Ok(write(engine, key, DocumentChange::Put { body, due_at }).await?)
}

/// Removes the heartbeat document of a worker.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn forget(engine: &Engine, key: &str) -> Result<(), errand_store::Error> {
    write(engine, key, DocumentChange::Remove).await
}

async fn write(
    engine: &Engine,
    key: &str,
    change: DocumentChange,
) -> Result<(), errand_store::Error> {
    let write = DocumentWrite {
        kind: DocumentKind::Worker,
        namespace: None,
        key: key.to_owned(),
        expect: Expect::Anything,
        change,
    };
    engine.store().write_documents(vec![write]).await
}
