//! A worker: claims queued runs, carries out as many at once as it has slots, and keeps their
//! leases in force.
//!
//! A detached run's helper is the same thing with one slot bound to one run. Deliberately absent:
//! prefetching. A claimed run that waits for a slot would hold a lease for nothing.

mod executor;
mod held;
mod herald;
mod leases;
mod pace;
mod shift;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use errand_model::placement::Resources;
use tokio::sync::watch;

pub use self::executor::{CarriedOut, Executor, InProcess, Processes};
use self::shift::Shift;
use crate::lease::LEASE_FOR;
use crate::supervise::ControlState;
use crate::{Engine, Error};

/// When a worker ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Only when it is told to.
    Told,
    /// As soon as nothing is queued that is due, and all slots are free.
    Empty,
    /// Once that run is over.
    Over(RunId),
}

/// What a worker is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name, for people.
    pub name: String,
    /// How many runs it carries out at once.
    pub slots: u32,
    /// Its labels: it alone is given what asks for them.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes only runs that ask for one of its labels.
    pub only: bool,
    /// Whether coordinators take their turns here, beside the runs that it carries out.
    pub turns: bool,
    /// What it has; `None`: it does not count, and takes any run.
    pub resources: Option<Resources>,
    /// How long its leases last; renewed every third of it.
    pub lease_for: Duration,
    /// How long runs may go on by themselves once it is told to end; then their agents are asked to.
    pub drain_timeout: Duration,
    /// When it ends by itself.
    pub until: Until,
    /// How it carries out a run.
    pub executor: Arc<dyn Executor>,
}

impl Options {
    /// A worker that runs agents as processes until it is told to end.
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

/// Works until told to end, or until the queue is empty. Returns how many runs it carried out, each
/// claim counted.
///
/// Has to be called on a thread that lives as long as it: agents are killed when the thread ends
/// that started them.
///
/// # Errors
///
/// If the registry fails for good. Runs that are under way are killed then, and are brought back by
/// whoever looks for lost ones.
pub async fn work(
    engine: &Engine,
    options: Options,
    orders: watch::Receiver<ControlState>,
) -> Result<u64, Error> {
    Box::pin(Shift::begin(engine, options, orders)?.work()).await
}
