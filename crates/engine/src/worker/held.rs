//! Runs that a worker holds at the moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use errand_api::worker::WorkerRun;
use errand_model::RunId;
use errand_model::placement::Resources;
use errand_store::Renewed;
use tokio::sync::{Notify, watch};

use crate::lease::Term;
use crate::supervise::ControlState;

/// Run that this worker carries out.
#[derive(Debug)]
pub(super) struct Held {
    /// Number of its lease.
    pub(super) epoch: u64,
    /// Term of its lease.
    pub(super) term: Term,
    /// Resources that it takes of this worker.
    pub(super) takes: Resources,
    /// Description for the heartbeat.
    pub(super) told: WorkerRun,
    /// Orders to its supervisor.
    pub(super) orders: watch::Sender<ControlState>,
}

/// All runs of this worker. Shared by the thread that supervises them and the thread that renews
/// their leases.
#[derive(Debug, Default)]
pub(super) struct HeldRuns {
    runs: Mutex<BTreeMap<RunId, Held>>,
    /// Notified to renew the leases at once, which finds requests to the runs.
    pub(super) look: Notify,
    /// Notified when a run was added or removed.
    pub(super) news: Notify,
    /// Set once no more runs are claimed.
    is_draining: AtomicBool,
}

impl HeldRuns {
    /// Adds a run for as long as the returned guard lives, and returns the orders to its
    /// supervisor.
    pub(super) fn add(
        self: &Arc<Self>,
        run_id: RunId,
        held: Held,
    ) -> (watch::Receiver<ControlState>, Listed) {
        let orders = held.orders.subscribe();
        let listed = Listed { runs: Arc::clone(self), run_id: run_id.clone(), epoch: held.epoch };
        self.runs().insert(run_id, held);
        self.news.notify_one();
        (orders, listed)
    }

    /// Removes a run that was held under that lease. A run that was claimed again meanwhile has
    /// another lease, and stays.
    fn remove(&self, run_id: &RunId, epoch: u64) {
        let mut runs = self.runs();
        if runs.get(run_id).is_some_and(|held| held.epoch == epoch) {
            runs.remove(run_id);
            self.news.notify_one();
        }
    }

    /// Returns the number of runs, and descriptions of the first `limit`.
    pub(super) fn told(&self, limit: usize) -> (usize, Vec<WorkerRun>) {
        let runs = self.runs();
        (runs.len(), runs.values().take(limit).map(|held| held.told.clone()).collect())
    }

    /// Returns true once no more runs are claimed.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Stops claiming runs.
    pub(super) fn close(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Returns the free resources of the worker.
    pub(super) fn left_of(&self, all: Resources) -> Resources {
        // A claimed run always fits, so the difference exists.
        let without = |left: Resources, held: &Held| left.without(held.takes).unwrap_or_default();
        self.runs().values().fold(all, without)
    }

    /// Returns the leases that are in force, to be renewed.
    pub(super) fn in_force(&self) -> Vec<(RunId, u64)> {
        let runs = self.runs();
        let in_force = runs.iter().filter(|(_, held)| !held.term.is_over());
        in_force.map(|(run_id, held)| (run_id.clone(), held.epoch)).collect()
    }

    /// Applies the result of a renewal of leases until `until`.
    pub(super) fn renewed(&self, leases: &[(RunId, u64)], renewed: &Renewed, until: Duration) {
        let runs = self.runs();
        for (run_id, epoch) in leases {
            let Some(held) = runs.get(run_id).filter(|held| held.epoch == *epoch) else { continue };
            if renewed.lost.contains(run_id) {
                held.term.end();
            } else {
                held.term.extend(until);
            }
        }
        for run_id in &renewed.asked {
            if let Some(held) = runs.get(run_id) {
                held.orders.send_modify(|orders| orders.looks += 1);
            }
        }
    }

    /// Tells the supervisor of a run to read its requests, if the run is here.
    pub(super) fn ask(&self, run_id: &RunId) {
        if let Some(held) = self.runs().get(run_id) {
            held.orders.send_modify(|orders| orders.looks += 1);
        }
    }

    /// Tells all supervisors to end their attempts; `drains` is how often they were told.
    pub(super) fn drain(&self, drains: u64) {
        for held in self.runs().values() {
            held.orders.send_modify(|orders| orders.drains = drains);
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Held>> {
        // No code path panics while it holds the lock, and every change is one insert or remove.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entry of a run, which its supervisor holds: if the supervisor panics, the lease is renewed no
/// more.
#[derive(Debug)]
pub(super) struct Listed {
    runs: Arc<HeldRuns>,
    run_id: RunId,
    epoch: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.runs.remove(&self.run_id, self.epoch);
    }
}
