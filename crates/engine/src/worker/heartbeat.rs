//! Heartbeat of a worker: the document that says which runs it has.

use std::sync::Arc;
use std::time::Duration;

use errand_api::worker::Worker;
use errand_model::Timestamp;

use super::Options;
use super::held::HeldRuns;
use crate::{Engine, Error, workers};

/// Heartbeat of one worker.
#[derive(Debug)]
pub(super) struct Heartbeat {
    key: String,
    told: Option<Worker>,
    /// Fields that do not change.
    worker: Worker,
    lease_for: Duration,
    held: Arc<HeldRuns>,
}

impl Heartbeat {
    pub(super) fn new(
        engine: &Engine,
        options: &Options,
        held: &Arc<HeldRuns>,
    ) -> Result<Self, Error> {
        let holder = engine.holder();
        let now = engine.now();
        let worker = Worker {
            name: options.name.clone(),
            host: holder.host.clone(),
            pid: holder.process.pid,
            slots: options.slots,
            busy: 0,
            labels: options.labels.clone(),
            resources: options.resources.map(Into::into),
            since_ms: now,
            seen_at_ms: now,
            draining: false,
            runs: Vec::new(),
        };
        let key = format!("{}/{:016x}", options.name, crate::engine::random()?);
        let (held, lease_for) = (Arc::clone(held), options.lease_for);
        Ok(Self { key, told: None, worker, lease_for, held })
    }

    /// Writes the worker's state, if it changed or was not written for the length of a lease.
    pub(super) async fn tell(&mut self, engine: &Engine) {
        let now = engine.now();
        let (busy, runs) = self.held.told(workers::RUNS_TOLD);
        let worker = Worker {
            busy: u32::try_from(busy).unwrap_or(u32::MAX),
            runs,
            draining: self.held.is_draining(),
            seen_at_ms: now,
            ..self.worker.clone()
        };
        let is_known = |told: &Worker| {
            let told_at: Timestamp = told.seen_at_ms;
            Worker { seen_at_ms: told_at, ..worker.clone() } == *told
                && now.since(told_at) < self.lease_for
        };
        if self.told.as_ref().is_some_and(is_known) {
            return;
        }
        // After a failure it is written next time.
        if workers::tell(engine, &self.key, &worker, self.lease_for).await.is_ok() {
            self.told = Some(worker);
        }
    }

    /// Removes the document: the worker ends.
    pub(super) async fn bid_farewell(&self, engine: &Engine) {
        // After a failure it expires a little later.
        drop(workers::forget(engine, &self.key).await);
    }
}
