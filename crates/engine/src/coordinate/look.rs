//! Loop that lets coordinators take their turns: a reconciler without input. Any number of
//! processes may run it; of two that take the same turn, the store refuses one.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::RunId;
use errand_store::{Changes, Document, DocumentKind, StoreChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::hot::CoordinatorCache;
use super::turn;
use crate::news::document;
use crate::{Engine, Error};

/// Upper bound of news for one look.
const BATCH: u32 = 512;
/// Delay of news whose turn failed.
const FAILED: Duration = Duration::from_secs(5);
/// Number of coordinators that take their turns at the same time.
const AT_ONCE: usize = 16;
/// Interval of looks without a notification, for news that a dead process left.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time that a turn may still take once its worker ends.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Shortest interval of looks that changes of other processes lead to.
const ELSEWHERE_EVERY: Duration = Duration::from_millis(50);

/// Task that lets coordinators take their turns until this is dropped.
#[derive(Debug)]
pub(crate) struct Turns {
    looking: JoinSet<()>,
    ends: watch::Sender<bool>,
}

impl Turns {
    /// Starts the task.
    pub(crate) fn begin(engine: &Engine) -> Self {
        let (ends, ending) = watch::channel(false);
        let engine = engine.clone();
        let mut looking = JoinSet::new();
        looking.spawn(async move { take_turns(&engine, ending).await });
        Self { looking, ends }
    }

    /// Ends the task. A turn that has begun is finished, with its files and its orders to children.
    pub(crate) async fn end(mut self) {
        self.ends.send_replace(true);
        let ended = self.looking.join_next();
        // The next process to look repeats a turn that does not end in time.
        drop(tokio::time::timeout(END_WITHIN, ended).await);
    }
}

async fn take_turns(engine: &Engine, mut ending: watch::Receiver<bool>) {
    let hot = CoordinatorCache::default();
    let mut changes = engine.store().changes();
    // The process that leaves news takes the turn itself; a worker that listens hears of others' too.
    changes.rest();
    let mut last = Instant::now();
    while !*ending.borrow_and_update() {
        // After an error, the next look tries again.
        if matches!(look(engine, &hot).await, Ok(true)) {
            continue;
        }
        let until = Instant::now() + engine.jittered(LOOK_EVERY);
        let heard = tokio::select! {
            heard = tokio::time::timeout_at(until, heard(&mut changes)) => heard,
            _ = ending.changed() => return,
        };
        if matches!(heard, Ok(Heard::Elsewhere)) {
            tokio::time::sleep_until(last + ELSEWHERE_EVERY).await;
        }
        last = Instant::now();
    }
}

enum Heard {
    Here,
    Elsewhere,
}

/// Waits until there may be news.
async fn heard(changes: &mut Changes) -> Heard {
    loop {
        match changes.recv().await {
            Ok(StoreChange::Turn) | Err(RecvError::Lagged(_)) => return Heard::Here,
            Ok(StoreChange::Elsewhere) => return Heard::Elsewhere,
            Ok(
                StoreChange::Run { .. }
                | StoreChange::Queued
                | StoreChange::Asked { .. }
                | StoreChange::Inbox { .. },
            ) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Takes the turns that are due. Returns true if there are more.
pub(crate) async fn look(engine: &Engine, hot: &CoordinatorCache) -> Result<bool, Error> {
    let due = engine.store().due_documents(DocumentKind::Turn, engine.now(), BATCH).await?;
    let is_full = u32::try_from(due.len()).is_ok_and(|count| count >= BATCH);
    let mut by_coordinator: BTreeMap<RunId, Vec<Document>> = BTreeMap::new();
    for found in due {
        if let Some(coordinator) = document::coordinator(&found) {
            by_coordinator.entry(coordinator).or_default().push(found);
        }
    }
    let mut turns = JoinSet::new();
    for (coordinator, documents) in by_coordinator {
        if turns.len() >= AT_ONCE {
            // A failed turn is found again at the next look.
            drop(turns.join_next().await);
        }
        let (engine, hot) = (engine.clone(), hot.clone());
        turns.spawn(async move {
            let taken = Box::pin(turn::take(&engine, &hot, &coordinator, &documents)).await;
            if let Err(error) = taken {
                tracing::warn!(run_id = coordinator.as_str(), %error, "a turn failed");
                // Other coordinators are not held up by it. If that cannot be written, the news are
                // due again.
                drop(turn::postpone(&engine, &documents, FAILED).await);
            }
        });
    }
    while turns.join_next().await.is_some() {}
    Ok(is_full)
}
