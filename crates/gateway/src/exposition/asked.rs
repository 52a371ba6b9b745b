//! Figures from the registry, read for each scrape: the same from every process on it.

use errand_api::worker::Worker;
use errand_engine::{Engine, Error, workers};
use errand_store::{QueuedCount, UnfinishedCounts};

/// Figures of the registry.
#[derive(Debug)]
pub(crate) struct RegistryFigures {
    /// The queue, by namespace.
    pub(super) waiting: Vec<QueuedCount>,
    /// Live runs and open questions.
    pub(super) standing: UnfinishedCounts,
    /// Workers with a recent heartbeat.
    pub(super) workers: Vec<Worker>,
}

impl RegistryFigures {
    /// Reads the figures.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub(crate) async fn of(engine: &Engine) -> Result<Self, Error> {
        let mut waiting = engine.store().waiting(engine.now()).await?;
        if waiting.iter().all(|it| it.namespace.is_some()) {
            // An absent gauge for an empty queue would look like a failed scrape.
            waiting.insert(
                0,
                QueuedCount { namespace: None, ready: 0, delayed: 0, oldest_ready_at: None },
            );
        }
        let standing = engine.store().standing().await?;
        let workers = workers::list(engine).await?;
        Ok(Self { waiting, standing, workers })
    }
}
