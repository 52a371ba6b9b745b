//! Retention: runs that have been over for long are removed, a few at a time.
//!
//! Any number of processes may do so at once: what one removed is not there for the others.
//! Deliberately absent: what is kept for other reasons, as an agent, a session or an audit entry.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_api::audit::{Action, Actor};
use errand_model::{RunId, Timestamp};
use errand_store::Error as StoreError;
use serde_json::json;
use tokio::time::Instant;

use crate::remove::{Fate, fate, remove};
use crate::{Engine, Error, audit};

/// Runs that are looked at together; between two such pages it rests.
const PAGE: u32 = 100;
/// The shortest rest. No rest is shorter than what came before it took: half of the time at most is
/// spent on this.
const SHORTEST_REST: Duration = Duration::from_millis(100);
/// How often it is looked whether something is old enough: after a tenth of the time that runs are
/// kept, but not more often nor more seldom than this.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Who it was, as the audit log says.
const NAME: &str = "retention";

/// Removes what is old.
#[derive(Debug)]
pub struct Retention {
    engine: Engine,
    keep: Duration,
}

/// What became of one page.
#[derive(Debug, Default)]
struct Page {
    /// How many were removed, by namespace.
    removed: BTreeMap<Option<String>, u64>,
    /// Where the next one begins; `None`: this was the last.
    next: Option<RunId>,
}

impl Retention {
    /// Runs of the registry of `engine` are kept for so long after their end.
    pub const fn new(engine: Engine, keep: Duration) -> Self {
        Self { engine, keep }
    }

    /// Removes what is old until `stop`. Failures of the registry are survived: it is looked at again.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut after = None;
        loop {
            let began = Instant::now();
            // A page is never left in the middle: what was removed is recorded.
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

    /// Looks at the page behind `after`, and returns where the next one begins.
    async fn page(&self, after: Option<RunId>) -> Result<Option<RunId>, Error> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(self.engine.now().as_millis().saturating_sub(keep));
        let mut page = Page::default();
        let looked = self.forget(before, after, &mut page).await;
        for (namespace, count) in &page.removed {
            tracing::info!(namespace, count, "runs were removed that were over for long");
            let deed = audit::Deed {
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
            // What cannot be read is left to people, and hides nothing behind it.
            let stored = match store.load(&run_id).await {
                Ok(Some(stored)) => stored,
                Ok(None) | Err(StoreError::Damaged { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if fate(&self.engine, &stored, before).await? != Fate::Forgotten {
                continue;
            }
            match Box::pin(remove(&self.engine, &run_id)).await {
                // What it named is freed with all garbage, once others cannot be about to name it.
                Ok(_) => {
                    let namespace = stored.run.spec.namespace.clone();
                    *page.removed.entry(namespace).or_default() += 1;
                }
                // Somebody else was quicker.
                Err(Error::Store(StoreError::NoRun { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
