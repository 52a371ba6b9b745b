//! Wake-ups for followers of runs.
//!
//! A single task receives all changes and wakes followers by run id, so that a thousand followers
//! cost one receiver. A wake-up has no content: followers read the store. Deliberately absent: a
//! timer per follower.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_model::RunId;
use errand_store::{Changes, StoreChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Interval at which all followers are woken regardless of changes: this finds missed changes, and
/// runs whose supervisor died.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Shortest interval of wake-ups of all followers after changes of other processes.
const ELSEWHERE_EVERY: Duration = Duration::from_millis(20);

/// State of a run's notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObservedChange {
    /// Number of notifications.
    pub(crate) count: u64,
    /// True once a change said that the run is over.
    pub(crate) is_over: bool,
}

/// Followers by run.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    runs: Mutex<HashMap<RunId, watch::Sender<ObservedChange>>>,
    all: watch::Sender<u64>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let (runs, all) = (Mutex::default(), watch::Sender::new(0));
        Self { inner: Arc::new(Inner { runs, all }) }
    }

    /// Follows a run from now on. A follower that reads the run after this misses nothing.
    pub(crate) fn follow(&self, run_id: &RunId) -> Follower {
        let all = self.inner.all.subscribe();
        let mut runs = self.inner.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = runs.entry(run_id.clone()).or_default();
        let run = sender.subscribe();
        drop(runs);
        Follower { run: Some(run), all, run_id: run_id.clone(), hub: self.clone() }
    }

    fn wake(&self, run_id: &RunId, is_over: bool) {
        let runs = self.inner.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = runs.get(run_id) {
            run.send_modify(|seen| {
                seen.count = seen.count.wrapping_add(1);
                seen.is_over |= is_over;
            });
        }
    }

    fn wake_all(&self) {
        self.inner.all.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Receives changes and wakes followers, until dropped.
    pub(crate) async fn listen(self, mut changes: Changes) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(StoreChange::Run { run_id, is_over, .. }) => self.wake(&run_id, is_over),
                    Ok(StoreChange::Queued | StoreChange::Asked { .. } | StoreChange::Turn | StoreChange::Inbox { .. }) => {}
                    Ok(StoreChange::Elsewhere) | Err(RecvError::Lagged(_)) => {
                        self.wake_all();
                        tokio::time::sleep(ELSEWHERE_EVERY).await;
                    }
                    // The store is closed: only the periodic wake-up remains.
                    Err(RecvError::Closed) => {
                        look.tick().await;
                        self.wake_all();
                    }
                },
                _ = look.tick() => self.wake_all(),
            }
        }
    }
}

/// A follower of a run.
#[derive(Debug)]
pub(crate) struct Follower {
    run: Option<watch::Receiver<ObservedChange>>,
    all: watch::Receiver<u64>,
    run_id: RunId,
    hub: Hub,
}

impl Follower {
    /// Returns when something of the run may have been committed since the last call, or since the
    /// follower was created.
    pub(crate) async fn changed(&mut self) {
        let Some(run) = &mut self.run else { return };
        tokio::select! {
            // Both senders live as long as the hub, which this holds.
            _ = run.changed() => {}
            _ = self.all.changed() => {}
        }
    }
}

impl Follower {
    /// Returns when the run may be over; earlier changes do not wake it.
    pub(crate) async fn over(&mut self) {
        let Some(run) = &mut self.run else { return };
        loop {
            tokio::select! {
                heard = run.changed() => {
                    if heard.is_err() || run.borrow_and_update().is_over {
                        return;
                    }
                }
                _ = self.all.changed() => return,
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.run = None;
        let mut runs = self.hub.inner.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.get(&self.run_id).is_some_and(|sender| sender.receiver_count() == 0) {
            runs.remove(&self.run_id);
        }
    }
}
