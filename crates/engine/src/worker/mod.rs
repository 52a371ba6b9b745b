//! Workers: a worker claims queued runs, carries out as many at once as it has slots, and keeps
//! their leases in force.
//!
//! A detached run's helper is a worker with one slot, bound to one run. Deliberately absent:
//! prefetching. A claimed run that waits for a slot would hold a lease for nothing.

mod executor;
mod heartbeat;
mod held;
mod leases;
mod pace;
mod worker_loop;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use errand_model::placement::Resources;
use tokio::sync::watch;

pub use self::executor::{CarriedOut, Executor, InProcess, Processes};
use self::worker_loop::WorkerLoop;
use crate::lease::LEASE_FOR;
use crate::supervise::ControlState;
use crate::{Engine, Error};

/// Condition under which a worker ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// None: it ends when it is told to.
    Told,
    /// No queued run is due, and all slots are free.
    Empty,
    /// A run is over: that one.
    Over(RunId),
}

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name, for people.
    pub name: String,
    /// Number of runs that it carries out at once.
    pub slots: u32,
    /// Labels: a run that asks for labels goes only to a worker that has them.
    pub labels: BTreeMap<String, String>,
    /// Set to take only runs that ask for one of its labels.
    pub only: bool,
    /// Set to let coordinators take their turns here, beside the runs that it carries out.
    pub turns: bool,
    /// CPU, memory and GPUs of its runs together; `None`: unlimited.
    pub resources: Option<Resources>,
    /// Length of its leases, which are renewed every third of it.
    pub lease_for: Duration,
    /// Time that runs have to end by themselves once the worker is told to end; then their agents
    /// are asked to.
    pub drain_timeout: Duration,
    /// Condition under which it ends by itself.
    pub until: Until,
    /// Way in which it carries out a run.
    pub executor: Arc<dyn Executor>,
}

impl Options {
    /// Returns the settings of a worker that runs agents as processes until it is told to end.
    pub fn new(name: impl Into<String>, slots: u32) -> Self {
        Self {
            name: name.into(),
            slots,
            labels: BTreeMap::new(),
            only: false,
            turns: true,
            resources: None,
            lease_for: LEASE_FOR,
            drain_timeout: Duration::ZERO,
            until: Until::Told,
            executor: Arc::new(Processes),
        }
    }
}

/// Works until ordered to end, or until the end in the options. Returns the number of runs carried
/// out, each claim counted.
///
/// Must be called on a thread that lives as long as the call: agents are killed when the thread
/// that started them ends.
///
/// # Errors
///
/// If the registry fails for good. Runs that are under way are killed then, and the reaper of
/// another process brings them back.
pub async fn work(
    engine: &Engine,
    options: Options,
    orders: watch::Receiver<ControlState>,
) -> Result<u64, Error> {
    Box::pin(WorkerLoop::begin(engine, options, orders)?.work()).await
}
