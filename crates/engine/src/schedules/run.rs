//! The loop that fires slots. Sleeps until the next one.

use std::time::Duration;

use errand_agent::os;
use errand_model::Timestamp;
use errand_store::{
    Changes, Document, DocumentChange, DocumentKind, DocumentWrite, Expect, StoreChange,
};
use tokio::sync::broadcast::error::RecvError;

use super::fire::{ScheduleOutcome, fire_due};
use crate::{Engine, Error, audit};

/// Schedules read together.
const PAGE: u32 = 256;
/// Longest time between two looks at the store: a schedule created by another process may go
/// unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Interval at which expired documents of hooks are removed.
const CLEAR_EVERY: Duration = Duration::from_secs(60);
/// Interval at which surplus entries of the audit log are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Documents removed together.
const CLEARED: u32 = 500;

/// Fires the slots of all schedules of a registry.
#[derive(Debug)]
pub struct Scheduler {
    engine: Engine,
    cleared_at: Option<Timestamp>,
    pruned_at: Option<Timestamp>,
}

impl Scheduler {
    /// Returns a scheduler of the registry of `engine`; [`Scheduler::run`] starts it.
    pub const fn new(engine: Engine) -> Self {
        Self { engine, cleared_at: None, pruned_at: None }
    }

    /// Fires until `stop`. After a failure of the registry it looks again.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut changes = self.engine.store().changes();
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = match self.look().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(error = %error, "schedules cannot be fired");
                    NextFiring { at: None, waits: false }
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = os::until_due(next.at) => {}
                () = one_is_over(&mut changes), if next.waits => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Fires and skips due slots, and returns when to look again.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub async fn look(&mut self) -> Result<NextFiring, Error> {
        let end = Timestamp::from_millis(i64::MAX);
        let mut waits = false;
        let engine = self.engine.clone();
        let store = engine.store();
        let found = store.due_documents(DocumentKind::Schedule, end, PAGE).await?;
        let now = self.engine.now();
        let is_due = |document: &&Document| document.due_at.is_some_and(|at| at <= now);
        for document in found.iter().filter(is_due) {
            match fire_due(&engine, document).await {
                Ok(seen) => waits |= seen == ScheduleOutcome::Waits,
                Err(Error::Store(error)) if error.may_pass() => return Err(error.into()),
                // A schedule that cannot be read must not block the others.
                Err(error) => {
                    let name = document.key.as_str();
                    tracing::error!(schedule = name, error = %error, "a schedule cannot be fired");
                }
            }
        }
        self.clear(now).await?;
        let first = store.due_documents(DocumentKind::Schedule, end, PAGE).await?;
        let later = first.iter().filter_map(|document| document.due_at).find(|at| *at > now);
        Ok(NextFiring { at: later, waits })
    }

    /// Removes expired documents of hooks, and surplus entries of the audit log.
    async fn clear(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.cleared_at.is_some_and(|at| now.since(at) < CLEAR_EVERY) {
            return Ok(());
        }
        self.cleared_at = Some(now);
        if self.pruned_at.is_none_or(|at| now.since(at) >= PRUNE_EVERY) {
            self.pruned_at = Some(now);
            audit::prune_all(&self.engine).await?;
        }
        let kind = DocumentKind::HookDelivery;
        let over = self.engine.store().due_documents(kind, now, CLEARED).await?;
        for document in over {
            let remove = DocumentWrite {
                kind,
                namespace: document.namespace,
                key: document.key,
                expect: Expect::Revision(document.revision),
                change: DocumentChange::Remove,
            };
            match self.engine.store().write_documents(vec![remove]).await {
                Ok(()) | Err(errand_store::Error::DocumentChanged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Time and condition of the next look at schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextFiring {
    /// The next slot; `None` if none is known.
    pub at: Option<Timestamp>,
    /// True if a slot waits for the end of a run.
    pub waits: bool,
}

/// Returns when a run ended, or may have.
async fn one_is_over(changes: &mut Changes) {
    loop {
        match changes.recv().await {
            Ok(StoreChange::Run { is_over: true, .. } | StoreChange::Elsewhere)
            | Err(RecvError::Lagged(_)) => return,
            Ok(
                StoreChange::Run { .. }
                | StoreChange::Queued
                | StoreChange::Asked { .. }
                | StoreChange::Turn
                | StoreChange::Inbox { .. },
            ) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
