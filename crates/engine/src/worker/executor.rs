//! Executors: a claimed run is carried out by supervising its agent's process, or within this
//! process.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use errand_model::draft::JournalDraft;
use errand_model::event::ProcessUsage;
use errand_model::run::{AttemptOutcome, AttemptUp, EndAttempt, Run, StartAttempt};
use tokio::sync::watch;

use crate::commit::{Admits, Commit, Writer, commit};
use crate::journal::JournalProblem;
use crate::supervise::{self, ControlState, LeasedRun, SupervisorChannels};
use crate::{Engine, Error};

/// Future that carries out a run and returns the run as it was left.
pub type CarriedOut = Pin<Box<dyn Future<Output = Result<Run, Error>> + Send>>;

/// Carries out runs that a worker claimed.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Carries a run on until it is over, or back in the queue. An implementation writes nothing
    /// once the charge's term is over, and leaves nothing behind that still works for the run.
    fn carry_out(
        &self,
        engine: Engine,
        charge: LeasedRun,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut;
}

/// Executor that runs each agent as a process of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes;

impl Executor for Processes {
    fn carry_out(
        &self,
        engine: Engine,
        charge: LeasedRun,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut {
        let channels = SupervisorChannels { control: orders, tee: None, ready: None };
        Box::pin(async move { supervise::carry_on(&engine, charge, channels).await })
    }
}

/// Work of an in-process run.
type Work = dyn Fn(&Run) -> AttemptOutcome + Send + Sync;

/// Executor that runs a function of this process: an attempt is one commit. For measurements of the
/// queue by itself.
#[derive(Clone)]
pub struct InProcess {
    work: Arc<Work>,
}

impl InProcess {
    /// Returns an executor for which every run is `work`.
    pub fn new(work: impl Fn(&Run) -> AttemptOutcome + Send + Sync + 'static) -> Self {
        Self { work: Arc::new(work) }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl Executor for InProcess {
    fn carry_out(
        &self,
        engine: Engine,
        charge: LeasedRun,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut {
        if charge.stored.run.spec.plan.is_some() {
            // A coordinator has no work of its own.
            return Processes.carry_out(engine, charge, orders);
        }
        let work = Arc::clone(&self.work);
        Box::pin(async move { at_once(&engine, charge, work.as_ref()).await })
    }
}

/// Carries out one attempt from start to end, in one commit.
async fn at_once(engine: &Engine, charge: LeasedRun, work: &Work) -> Result<Run, Error> {
    let LeasedRun { stored, lease, term } = charge;
    let mut draft = JournalDraft::without_steps(stored.run, stored.head);
    let holder = engine.holder();
    let start = StartAttempt {
        epoch: lease.epoch,
        supervisor: holder.process.clone(),
        host: holder.host.clone(),
        worker: lease.holder.worker.clone(),
    };
    draft.command(&start.into(), engine.now())?;
    let attempt = draft.run().last_attempt_number();
    let up = AttemptUp { attempt, locator: None, memory_enforced_by: None, setup: None };
    draft.command(&up.into(), engine.now())?;
    let end = EndAttempt {
        task: None,
        attempt,
        outcome: work(draft.run()),
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    draft.command(&end.into(), engine.now())?;
    let run = draft.run().clone();
    if term.is_over() {
        return Err(JournalProblem::LeaseOver { run_id: run.id }.into());
    }
    let writer = Writer::Supervisor { epoch: lease.epoch, lets_go: true };
    commit(engine, &Commit::of(draft, writer), &Admits::Nothing).await?;
    Ok(run)
}
