//! Retention: removal of runs that ended long ago, a few at a time.
//!
//! Any number of processes may run it at once: a run that one removed is skipped by the others.
//! Deliberately absent: agents, sessions and audit entries, which are kept for other reasons.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_api::audit::{Action, Actor};
use errand_model::{RunId, Timestamp};
use errand_store::Error as StoreError;
use serde_json::json;
use tokio::time::Instant;

use crate::error::{CodedError as _, operation_error};
use crate::remove::{self, RemovalOutcome, fate, remove};
use crate::{Engine, audit};

operation_error! {
    /// Error: old runs cannot be removed.
    enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A run cannot be removed.
        Remove(remove::Error),
        /// The audit log cannot be written.
        Audit(audit::Error),
    }
}

/// Runs read together; the loop pauses between two such pages.
const PAGE: u32 = 100;
/// Shortest pause. A pause lasts at least as long as the page before it took: at most half of the
/// time goes into removal.
const SHORTEST_REST: Duration = Duration::from_millis(100);
/// Bounds of the interval between two passes, which is a tenth of the retention time.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Actor in the audit log.
const NAME: &str = "retention";

/// The loop that removes old runs.
#[derive(Debug)]
pub struct Retention {
    engine: Engine,
    keep: Duration,
}

/// Result of one page.
#[derive(Debug, Default)]
struct Page {
    /// Number of removed runs, by namespace.
    removed: BTreeMap<Option<String>, u64>,
    /// Last run of this page, where the next one begins; `None` after the last page.
    next: Option<RunId>,
}

impl Retention {
    /// Returns a loop that keeps runs of the registry of `engine` for `keep` after their end.
    pub const fn new(engine: Engine, keep: Duration) -> Self {
        Self { engine, keep }
    }

    /// Removes old runs until `stop`. After a failure of the registry it tries again.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut after = None;
        loop {
            let began = Instant::now();
            // A page is never interrupted: its removals are recorded in the audit log.
            let rest = match self.page(after.take()).await {
                Ok(next) if next.is_some() => {
                    after = next;
                    began.elapsed().max(SHORTEST_REST)
                }
                Ok(_) => self.look_after(),
                Err(error) => {
                    tracing::error!(error = %error, "old runs cannot be removed");
                    self.look_after()
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    fn look_after(&self) -> Duration {
        (self.keep / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1)
    }

    /// Removes the old runs of the page behind `after`, and returns where the next one begins.
    async fn page(&self, after: Option<RunId>) -> Result<Option<RunId>, Error> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(self.engine.now().as_millis().saturating_sub(keep));
        let mut page = Page::default();
        let looked = self.forget(before, after, &mut page).await;
        for (namespace, count) in &page.removed {
            tracing::info!(namespace, count, "runs were removed that were over for long");
            let deed = audit::AuditedAction {
                namespace: namespace.as_deref(),
                action: Action::RunsPruned,
                object: NAME,
                by: &Actor {
                    key: None,
                    name: Some(NAME.to_owned()),
                    from: self.engine.holder().host.clone(),
                },
                detail: json!({ "runs": count, "ended_before_ms": before }),
            };
            audit::record(&self.engine, deed).await?;
        }
        looked.map(|()| page.next)
    }

    async fn forget(
        &self,
        before: Timestamp,
        after: Option<RunId>,
        page: &mut Page,
    ) -> Result<(), Error> {
        let store = self.engine.store();
        let ended = store.ended(before, after.as_ref(), PAGE).await?;
        let is_full = ended.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        page.next = ended.last().filter(|_| is_full).cloned();
        for run_id in ended {
            // A run that cannot be read is left to people, and hides none behind it.
            let stored = match store.load(&run_id).await {
                Ok(Some(stored)) => stored,
                Ok(None) | Err(StoreError::Damaged { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if fate(&self.engine, &stored, before).await? != RemovalOutcome::Forgotten {
                continue;
            }
            match Box::pin(remove(&self.engine, &run_id)).await {
                // The garbage collector frees its blobs and parcels, once no process can be about
                // to name them.
                Ok(_) => {
                    let namespace = stored.run.spec.namespace.clone();
                    *page.removed.entry(namespace).or_default() += 1;
                }
                // Another process removed it first.
                Err(error) if matches!(error.store(), Some(StoreError::NoRun { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
