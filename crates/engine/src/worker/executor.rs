//! How a claimed run is carried out: by supervising its agent's process, or within this process.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use errand_model::event::{EventBody, ProcessUsage};
use errand_model::run::{AttemptUp, Command, EndAttempt, Outcome, Run, StartAttempt};
use errand_model::{Event, EventContext};
use errand_store::{Append, Fence};
use tokio::sync::watch;

use crate::supervise::{self, Charge, ControlState, SupervisorChannels};
use crate::{Engine, Error, deadlines, follow_up, lease, record_file};

/// A run that is being carried out. Gives it as it was left.
pub type CarriedOut = Pin<Box<dyn Future<Output = Result<Run, Error>> + Send>>;

/// Carries out runs that a worker claimed.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Carries a run on until it is over, or back in the queue. Whoever implements it writes nothing
    /// once the charge's term is over, and leaves nothing behind that still works for the run.
    fn carry_out(
        &self,
        engine: Engine,
        charge: Charge,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut;
}

/// Agents are processes of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processes;

impl Executor for Processes {
    fn carry_out(
        &self,
        engine: Engine,
        charge: Charge,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut {
        let channels = SupervisorChannels { control: orders, tee: None, ready: None };
        Box::pin(async move { supervise::carry_on(&engine, charge, channels).await })
    }
}

/// What an in-process run does.
type Work = dyn Fn(&Run) -> Outcome + Send + Sync;

/// Runs are functions of this process: an attempt is one commit. For measuring what a queue costs by
/// itself.
#[derive(Clone)]
pub struct InProcess {
    work: Arc<Work>,
}

impl InProcess {
    /// Every run is `work`.
    pub fn new(work: impl Fn(&Run) -> Outcome + Send + Sync + 'static) -> Self {
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
        charge: Charge,
        orders: watch::Receiver<ControlState>,
    ) -> CarriedOut {
        if charge.stored.run.spec.plan.is_some() {
            // A coordinator is no work by itself.
            return Processes.carry_out(engine, charge, orders);
        }
        let work = Arc::clone(&self.work);
        Box::pin(async move { at_once(&engine, charge, work.as_ref()).await })
    }
}

/// One attempt from start to end, in one commit.
async fn at_once(engine: &Engine, charge: Charge, work: &Work) -> Result<Run, Error> {
    let Charge { stored, lease, term } = charge;
    let mut making = Making { run: stored.run, head: stored.head, events: Vec::new() };
    let holder = engine.holder();
    making.take_in(
        engine,
        &StartAttempt {
            epoch: lease.epoch,
            supervisor: holder.process.clone(),
            host: holder.host.clone(),
            worker: lease.holder.worker.clone(),
        }
        .into(),
    )?;
    let attempt = making.run.last_attempt_number();
    making.take_in(
        engine,
        &AttemptUp { attempt, locator: None, memory_enforced_by: None, setup: None }.into(),
    )?;
    let outcome = work(&making.run);
    let end = EndAttempt {
        attempt,
        outcome,
        exit_code: None,
        signal: None,
        usage: ProcessUsage::default(),
    };
    making.take_in(engine, &end.into())?;
    let Making { run, head, events } = making;
    if term.is_over() {
        return Err(Error::LeaseOver { run_id: run.id });
    }
    let mut documents = follow_up::documents(engine, &run, &events);
    documents.extend(deadlines::watched(&run));
    let append = Append {
        requeue: lease::place_of(&run),
        documents,
        run: run.clone(),
        head,
        events,
        steps: Vec::new(),
        fence: Fence { epoch: lease.epoch },
        snapshot: true,
        release: true,
        answered: Vec::new(),
    };
    engine.store().append(append).await?;
    record_file::write_quietly(engine, &run, head, None);
    Ok(run)
}

/// A run and the events that are added to it.
struct Making {
    run: Run,
    head: errand_model::Head,
    events: Vec<Event>,
}

impl Making {
    fn take_in(&mut self, engine: &Engine, command: &Command) -> Result<(), Error> {
        let now = engine.now();
        for body in self.run.decide(command, now)?.events {
            let attempt = if let EventBody::AttemptStarted(started) = &body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            self.run.apply(EventContext { at: now, attempt }, &body)?;
            self.events.push(self.head.seal(&self.run.id, now, attempt, &body));
        }
        Ok(())
    }
}
