//! Runs supervised by a process of this machine: watched until the process is dead, then
//! reconciled.
//!
//! Reconcilers have no input, so any number of processes may run one at once. The death of a
//! supervisor is awaited with a pidfd; the registry is asked every second for live runs, since
//! SQLite does not tell of another process's commits. Deliberately absent: a timer per run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_model::run::Run;
use errand_model::{ProcessIdentity, RunId};
use errand_store::Stored;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::family;
use crate::{Engine, reconcile};

/// Interval between two queries of the registry for live runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Factor of the pause after a query: queries take at most a fiftieth of the time, however slow.
const REST: u32 = 50;
/// Most runs that are watched: each needs a file descriptor while its supervisor lives.
const WATCHED: u32 = 512;
/// Runs that are reconciled at the same time: each may start a helper.
const AT_ONCE: usize = 4;
/// Wait before another try with a run that could not be settled or whose supervisor is unknown.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Watches supervisors of this machine, and reconciles their runs once they are dead, until the
/// future is dropped.
pub async fn watch(engine: &Engine) {
    let mut watched = Watched::new(engine);
    loop {
        let began = Instant::now();
        // An unreadable registry may be readable at the next query.
        drop(watched.look().await);
        sleep((began.elapsed() * REST).max(LOOK_EVERY)).await;
    }
}

/// Watched runs, each with a task.
struct Watched {
    engine: Engine,
    tasks: BTreeMap<RunId, AbortHandle>,
    attending: JoinSet<()>,
    at_once: Arc<Semaphore>,
}

impl Watched {
    fn new(engine: &Engine) -> Self {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Self { engine: engine.clone(), tasks: BTreeMap::new(), attending: JoinSet::new(), at_once }
    }

    /// Begins to watch new runs, and stops watching finished ones.
    async fn look(&mut self) -> Result<(), reconcile::Error> {
        while self.attending.try_join_next().is_some() {}
        let live: BTreeSet<RunId> =
            self.engine.store().unqueued(WATCHED).await?.into_iter().collect();
        self.tasks.retain(|run_id, task| {
            let is_live = live.contains(run_id);
            if !is_live {
                task.abort();
            }
            is_live && !task.is_finished()
        });
        for run_id in live {
            if self.tasks.contains_key(&run_id) {
                continue;
            }
            let (engine, at_once) = (self.engine.clone(), Arc::clone(&self.at_once));
            let watching = run_id.clone();
            let task =
                self.attending.spawn(async move { attend(&engine, &watching, &at_once).await });
            self.tasks.insert(run_id, task);
        }
        Ok(())
    }
}

/// Reconciles a run whenever its supervisor is dead, until the run needs no supervisor.
async fn attend(engine: &Engine, run_id: &RunId, at_once: &Semaphore) {
    loop {
        let reconciled = {
            let Ok(_permit) = at_once.acquire().await else { return };
            reconciled(engine, run_id).await
        };
        let stored = match reconciled {
            Ok(Some(stored)) => stored,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(run_id = run_id.as_str(), %error, "a run cannot be looked after");
                sleep(LOOK_AGAIN).await;
                continue;
            }
        };
        match supervisor(engine, &stored) {
            // The holder died before it gave the lease back, and the run needs no supervisor.
            _ if stored.run.is_at_rest() => std::future::pending().await,
            Supervisor::Here(process) if os::liveness(&process) == Liveness::Alive => {
                os::until_gone(&process).await;
            }
            // The process is dead but the run could not be settled, for instance in a read-only
            // registry.
            Supervisor::Here(_) | Supervisor::Unknown => sleep(LOOK_AGAIN).await,
            Supervisor::Elsewhere => std::future::pending().await,
        }
    }
}

/// Returns the run after reconciliation; `None` if it needs no supervisor any more.
async fn reconciled(engine: &Engine, run_id: &RunId) -> Result<Option<Stored>, reconcile::Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(None) };
    let stored = reconcile::reconcile(engine, stored).await?;
    let is_left = stored.run.is_at_rest() && stored.lease.is_none();
    let is_over = stored.run.status.is_terminal() || is_left;
    Ok((!is_over).then_some(stored))
}

/// Supervisor of a run.
enum Supervisor {
    /// A process of this machine.
    Here(ProcessIdentity),
    /// A process on another machine, or a worker, which is watched by its lease instead.
    Elsewhere,
    /// No process is known: one may be about to begin.
    Unknown,
}

fn supervisor(engine: &Engine, stored: &Stored) -> Supervisor {
    let run = &stored.run;
    if let Some(lease) = &stored.lease {
        if lease.holder.host != engine.holder().host {
            return Supervisor::Elsewhere;
        }
        return match lease.expires_at {
            None => Supervisor::Here(lease.holder.process.clone()),
            Some(_) => Supervisor::Unknown,
        };
    }
    if run.spec.placement.is_some() && !family::is_top(run) {
        return Supervisor::Elsewhere;
    }
    let (host, process) = last_process(run);
    match process {
        _ if host != engine.holder().host => Supervisor::Elsewhere,
        Some(process) => Supervisor::Here(process.clone()),
        None => Supervisor::Unknown,
    }
}

/// Returns the machine and the process that worked for a run last, or that admitted it.
fn last_process(run: &Run) -> (&str, Option<&ProcessIdentity>) {
    match run.attempts.last() {
        Some(attempt) => (&attempt.host, Some(&attempt.supervisor)),
        None => (&run.spec.host, run.spec.launcher.as_ref()),
    }
}
