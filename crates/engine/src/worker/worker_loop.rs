//! Loop of a worker from its first claim to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::os::since_boot;
use errand_api::worker::WorkerRun;
use errand_model::Timestamp;
use errand_model::placement::Offer;
use errand_model::run::{Run, Status};
use errand_store::{Changes, Claim, Holder, Lease, StoreChange, Stored};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::held::{Held, HeldRuns};
use super::leases::Leases;
use super::pace::Pace;
use super::{Options, Until};
use crate::adopt::{Adopter, adopter_of};
use crate::coordinate::Turns;
use crate::lease::Term;
use crate::supervise::{ControlState, LeasedRun};
use crate::{Engine, Error, reaper, reconcile};

/// Time that runs have to end once the worker was told twice to end.
const END_AT_ONCE: Duration = Duration::from_secs(2);

/// Interval at which a worker that does not listen looks for requests to its runs.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// Orphaned agents that wait for this worker: the next look of the reaper finds further ones.
const ORPHANS: usize = 64;

/// Worker at work.
pub(super) struct WorkerLoop {
    engine: Engine,
    options: Options,
    orders: watch::Receiver<ControlState>,
    changes: Changes,
    held: Arc<HeldRuns>,
    under_way: JoinSet<Result<Run, Error>>,
    pace: Pace,
    /// Times at which runs are due again that this worker gave back.
    due: BTreeSet<Timestamp>,
    stage: Stage,
    done: u64,
    /// Number of SIGUSR1 that were handled.
    looks: u64,
    /// Time of the next look for requests, if the worker does not listen.
    asked_at: Instant,
    /// Set if the registry did not answer the last claim.
    is_cut_off: bool,
    _leases: Leases,
    /// Loop that lets coordinators take their turns.
    turns: Option<Turns>,
    _reaper: JoinSet<()>,
    /// Runs whose agent may be adopted, which the reaper found.
    orphans: mpsc::Receiver<Stored>,
}

/// Stage of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Claims runs.
    Working,
    /// Claims no more; at that time its runs are told to end.
    Finishing(Instant),
    /// Runs were told to end.
    Draining,
    /// Was told twice; at that time unfinished runs are left to the reaper.
    Ending(Instant),
}

impl WorkerLoop {
    pub(super) fn begin(
        engine: &Engine,
        options: Options,
        orders: watch::Receiver<ControlState>,
    ) -> Result<Self, Error> {
        let held = Arc::new(HeldRuns::default());
        let leases = Leases::keep(engine, &held, &options)?;
        let mut reaper = JoinSet::new();
        let reaping = engine.clone();
        let (found, orphans) = mpsc::channel(ORPHANS);
        reaper.spawn(async move { reaper::watch(&reaping, &found).await });
        let turns = options.turns.then(|| Turns::begin(engine));
        Ok(Self {
            changes: engine.store().changes(),
            engine: engine.clone(),
            options,
            orders,
            held,
            under_way: JoinSet::new(),
            pace: Pace::new(),
            due: BTreeSet::new(),
            stage: Stage::Working,
            done: 0,
            looks: 0,
            asked_at: Instant::now(),
            is_cut_off: false,
            _leases: leases,
            turns,
            _reaper: reaper,
            orphans,
        })
    }

    pub(super) async fn work(mut self) -> Result<u64, Error> {
        let done = self.until_done().await;
        if let Some(turns) = self.turns.take() {
            turns.end().await;
        }
        done
    }

    async fn until_done(&mut self) -> Result<u64, Error> {
        loop {
            self.heed();
            let claimed = self.claim().await?;
            let is_told = self.stage != Stage::Working;
            if self.under_way.is_empty() && (is_told || self.is_done(claimed).await?) {
                return Ok(self.done);
            }
            if matches!(self.stage, Stage::Ending(at) if Instant::now() >= at) {
                // Agents that are left end with this process.
                self.under_way.shutdown().await;
                return Ok(self.done);
            }
            self.wait().await;
        }
    }

    /// Returns true if the worker is done: all slots are free, and `claimed` runs were just
    /// claimed. False as long as the registry does not answer.
    async fn is_done(&self, claimed: usize) -> Result<bool, Error> {
        match &self.options.until {
            Until::Told => Ok(false),
            Until::Empty => Ok(claimed == 0 && !self.is_cut_off),
            Until::Over(run_id) => match self.engine.store().load(run_id).await {
                Ok(found) => Ok(found.is_none_or(|found| found.run.status.is_terminal())),
                Err(error) if error.may_pass() => Ok(false),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Waits until there may be work.
    async fn wait(&mut self) {
        let (looks, adopts) = (self.free() > 0, self.stage == Stage::Working);
        let stage_ends = self.stage_ends();
        let (rests, asked_at) = (self.changes.rests(), self.asked_at);
        tokio::select! {
            Some(ended) = self.under_way.join_next() => {
                self.ended(ended);
                while let Some(ended) = self.under_way.try_join_next() {
                    self.ended(ended);
                }
            }
            change = self.changes.recv() => self.heard(change),
            () = tokio::time::sleep_until(asked_at), if rests => self.look_for_requests().await,
            changed = self.orders.changed() => {
                if changed.is_err() {
                    // The sender is gone: no order to end can come.
                    self.orders = watch::Sender::new(ControlState { drains: 1, ..ControlState::default() }).subscribe();
                    self.orders.mark_changed();
                }
            }
            Some(found) = self.orphans.recv(), if adopts => self.adopt(found).await,
            () = self.pace.due(), if looks => {}
            () = until(stage_ends) => {}
        }
    }

    fn stage_ends(&self) -> Option<Instant> {
        match self.stage {
            Stage::Finishing(at) | Stage::Ending(at) => Some(at),
            Stage::Working | Stage::Draining => None,
        }
    }

    /// Acts on signals.
    fn heed(&mut self) {
        let orders = self.orders.borrow_and_update().clone();
        let told = orders.drains + orders.interrupts;
        if orders.looks > self.looks {
            self.looks = orders.looks;
            self.held.look.notify_one();
            // The sender of an order to look may also have queued a run.
            self.pace.now();
        }
        let now = Instant::now();
        match self.stage {
            Stage::Working | Stage::Finishing(_) | Stage::Draining if told > 1 => {
                self.held.close();
                self.stage = Stage::Ending(now + END_AT_ONCE);
                self.held.drain(2);
            }
            Stage::Working if told == 1 => {
                self.held.close();
                self.stage = Stage::Finishing(now + self.options.drain_timeout);
                self.heed_time(now);
            }
            Stage::Working | Stage::Finishing(_) | Stage::Draining | Stage::Ending(_) => {
                self.heed_time(now);
            }
        }
    }

    /// Tells the runs to end once their time is up.
    fn heed_time(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Finishing(at) if now >= at) {
            self.stage = Stage::Draining;
            self.held.drain(1);
        }
    }

    fn free(&self) -> u32 {
        if self.stage != Stage::Working {
            return 0;
        }
        let busy = u32::try_from(self.under_way.len()).unwrap_or(u32::MAX);
        self.options.slots.saturating_sub(busy)
    }

    /// Claims as many runs as there are free slots, if it is time to, and begins to carry them out.
    /// Returns their number.
    async fn claim(&mut self) -> Result<usize, Error> {
        let free = self.free();
        if free == 0 || !(self.pace.is_due() || self.is_due()) {
            return Ok(0);
        }
        let engine = &self.engine;
        let holder = Holder { worker: Some(self.options.name.clone()), ..engine.holder().clone() };
        let offer = self.offer();
        let lease_for = Some(self.options.lease_for);
        let now = engine.now();
        let claim = Claim { holder, limit: free, now, lease_for, offer };
        // Counted from before the request: the leases last at least until then.
        let until = since_boot() + self.options.lease_for;
        let (claimed, is_cut_off) = match engine.store().claim(claim).await {
            Ok(claimed) => (claimed, false),
            // The next look follows after a pause.
            Err(error) if error.may_pass() => (Vec::new(), true),
            Err(error) => return Err(error.into()),
        };
        self.is_cut_off = is_cut_off;
        engine.metrics().claimed(claimed.iter().map(|(stored, _)| stored), now);
        let count = claimed.len();
        for (stored, lease) in claimed {
            self.begin_run(stored, lease, until);
        }
        if u32::try_from(count).is_ok_and(|count| count < free) {
            self.changes.listen();
            self.pace.looked(&self.engine);
            self.note_due();
        } else {
            // No queued run is of interest before one of its own ends.
            self.changes.rest();
        }
        Ok(count)
    }

    /// Adopts the agent of a run, if the run still has no supervisor and this worker is meant to
    /// have it. It needs no free slot, since its agent uses the machine already.
    async fn adopt(&mut self, found: Stored) {
        let demands = found.run.spec.placement.as_ref().map(|placement| &placement.demands);
        if !demands.is_some_and(|demands| self.offer().has_labels_of(demands))
            || adopter_of(&self.engine, &found) != Adopter::Worker
        {
            return;
        }
        let holder =
            Holder { worker: Some(self.options.name.clone()), ..self.engine.holder().clone() };
        let lease_for = self.options.lease_for;
        // Counted from before the request: the lease lasts at least until then.
        let until = since_boot() + lease_for;
        let expires_at = Some(self.engine.now().plus(lease_for));
        let run_id = found.run.id.clone();
        let taken = self.engine.store().take(&run_id, found.epoch, holder, expires_at).await;
        match taken {
            Ok(lease) => self.begin_run(found, lease, until),
            Err(error) if reconcile::is_taken_over(&error) => {}
            Err(error) => {
                tracing::warn!(run_id = run_id.as_str(), %error, "an agent cannot be adopted");
            }
        }
    }

    /// Returns what the worker offers to runs at present.
    fn offer(&self) -> Offer {
        Offer {
            labels: self.options.labels.clone(),
            free: self.options.resources.map(|all| self.held.left_of(all)),
            only: self.options.only,
        }
    }

    /// Begins to carry a run out, or to go on with it.
    fn begin_run(&mut self, stored: Stored, lease: Lease, until: Duration) {
        let run_id = stored.run.id.clone();
        let term = Term::until(until);
        let placement = stored.run.spec.placement.as_ref();
        let spec = &stored.run.spec;
        let namespace = spec.namespace.as_deref().unwrap_or(errand_model::DEFAULT_NAMESPACE);
        let told = WorkerRun {
            run_id: run_id.clone(),
            namespace: namespace.to_owned(),
            agent: spec.agent.name.clone(),
        };
        let held = Held {
            told,
            epoch: lease.epoch,
            term: term.clone(),
            takes: placement.map(|placement| placement.demands.resources).unwrap_or_default(),
            orders: watch::Sender::new(ControlState::default()),
        };
        let (orders, listed) = self.held.add(run_id, held);
        let charge = LeasedRun { stored, lease, term };
        let carried_out = self.options.executor.carry_out(self.engine.clone(), charge, orders);
        self.under_way.spawn(async move {
            let _listed = listed;
            carried_out.await
        });
    }

    /// Tells its runs of requests that other processes made while the worker does not listen.
    async fn look_for_requests(&mut self) {
        self.asked_at = Instant::now() + ASKED_EVERY;
        let run_ids: Vec<_> = self.held.in_force().into_iter().map(|(run_id, _)| run_id).collect();
        if run_ids.is_empty() {
            return;
        }
        // After an error, the next look or the next renewal of the leases finds them.
        for run_id in self.engine.store().asked(&run_ids).await.unwrap_or_default() {
            self.held.ask(&run_id);
        }
    }

    /// Notes the end of a run here.
    fn ended(&mut self, ended: Result<Result<Run, Error>, JoinError>) {
        self.done += 1;
        self.pace.now();
        // A supervisor that panicked leaves a lease without renewal: the reaper brings the run
        // back.
        let Ok(result) = ended else { return };
        let run = match result {
            Ok(run) => run,
            // The error of a run is in its record, unless it is about an agent that could not be
            // adopted; other runs continue.
            Err(error) => {
                tracing::warn!(%error, "a run was not carried on");
                return;
            }
        };
        if let Status::Pending { not_before, .. } = run.status {
            self.due.insert(not_before);
        }
    }

    /// Returns true if a run is due that this worker gave back.
    fn is_due(&self) -> bool {
        self.due.first().is_some_and(|at| *at <= self.engine.now())
    }

    /// Sets the next look to the time at which a run is due that this worker gave back.
    fn note_due(&mut self) {
        let now = self.engine.now();
        self.due.retain(|at| *at > now);
        if let Some(next) = self.due.first() {
            self.pace.at(Instant::now() + next.since(now));
        }
    }

    fn heard(&mut self, change: Result<StoreChange, RecvError>) {
        match change {
            Ok(StoreChange::Queued | StoreChange::Elsewhere) => self.pace.now(),
            Ok(StoreChange::Asked { run_id }) => self.held.ask(&run_id),
            Ok(StoreChange::Run { .. } | StoreChange::Turn | StoreChange::Inbox { .. })
            | Err(RecvError::Closed) => {}
            Err(RecvError::Lagged(_)) => {
                self.pace.now();
                self.held.look.notify_one();
            }
        }
        // All pending notifications lead to one look.
        while let Ok(change) = self.changes.try_recv() {
            match change {
                StoreChange::Queued | StoreChange::Elsewhere => self.pace.now(),
                StoreChange::Asked { run_id } => self.held.ask(&run_id),
                StoreChange::Run { .. } | StoreChange::Turn | StoreChange::Inbox { .. } => {}
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
