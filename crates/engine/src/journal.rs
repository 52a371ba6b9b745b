//! Journal of a run in the hands of the supervisor, the one process that may write it.
//!
//! Decisions are made at once, in memory; their events become durable together: events that are
//! decided while one commit is under way go into the next. [`Journal::command`] returns when its
//! events are durable.
//!
//! Deliberately absent: reloading. No other process writes the journal while its lease is held.

mod end;
mod error;
mod fire;
mod full_disk;
mod numbered;
mod output;
mod record;
mod state;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use errand_model::RunId;
use errand_model::draft::JournalDraft;
use errand_model::run::{Command, Decision, Run};
use errand_model::step::Steps;
use errand_store::{Lease, Stored};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) use self::error::Error;
pub use self::error::JournalProblem;
use self::record::Unrecorded;
use self::state::State;
use crate::Engine;
use crate::error::RunEnding;
use crate::lease::Term;
use crate::reserve::{self, DiskReserve};

/// Rest of a lease from which the start of a step is not waited for: it becomes durable, with the
/// next commit or soon after, before another process can take the run.
const START_IS_SAFE_FOR: Duration = Duration::from_secs(1);

/// Run whose lease this process holds. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    run_id: RunId,
    epoch: u64,
    /// Name of the worker that holds the lease.
    worker: Option<String>,
    state: Mutex<State>,
    wake: Notify,
    /// Time for which no other process can take the run.
    term: Term,
    wake_soon: Notify,
    output_came: Notify,
    /// A transition was committed that the record file does not show.
    transition_came: Notify,
    durable: watch::Sender<Durable>,
    /// Held while a commit is on its way to the store, so that commits arrive in order.
    writing: tokio::sync::Mutex<()>,
}

/// End of the durable part of the journal.
#[derive(Clone, Debug, Default)]
struct Durable {
    seq: u64,
    lost: Option<Arc<Error>>,
}

impl Journal {
    /// Opens the journal of a run under `lease`, which is in force for `term`.
    ///
    /// # Errors
    ///
    /// If the run's steps cannot be read.
    pub(crate) async fn open(
        engine: &Engine,
        stored: Stored,
        lease: &Lease,
        term: Term,
    ) -> Result<Self, Error> {
        let Stored { run, head, .. } = stored;
        let draft = if head.seq > 1 {
            let steps = engine.store().steps(&run.id).await?;
            JournalDraft::new(run, head, Steps::from_stored(steps))
        } else {
            JournalDraft::without_steps(run, head)
        };
        Ok(Self::of(engine, draft, lease, term))
    }

    /// Opens the journal of the same run under the next lease, which this process took from itself.
    /// Known steps are not loaded again if no other process wrote meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub(crate) async fn reopen(&self, stored: Stored, lease: &Lease) -> Result<Self, Error> {
        let known = {
            let mut state = self.state();
            // The next attempt reserves space of its own, in the same file.
            state.reserve_due_at = None;
            drop(state.reserve.take());
            (state.draft.head() == stored.head).then(|| state.draft.steps().clone())
        };
        let (engine, term) = (&self.shared.engine, self.shared.term.clone());
        match known {
            Some(steps) => {
                let draft = JournalDraft::new(stored.run, stored.head, steps);
                Ok(Self::of(engine, draft, lease, term))
            }
            None => Self::open(engine, stored, lease, term).await,
        }
    }

    fn of(engine: &Engine, draft: JournalDraft, lease: &Lease, term: Term) -> Self {
        let durable = Durable { seq: draft.head().seq, lost: None };
        let run = draft.run();
        let run_id = run.id.clone();
        let unrecorded = Unrecorded::new(run.clone(), draft.head());
        // A coordinator has no agent whose end needs disk space.
        let needs_reserve = run.spec.plan.is_none();
        let mut state = State::new(draft);
        state.unrecorded = Some(unrecorded);
        if needs_reserve && reserve::can_wait(engine.registry()) {
            state.reserve_due_at = Some(Instant::now() + reserve::RESERVED_AFTER);
        } else if needs_reserve {
            state.reserve = DiskReserve::take(engine.registry(), &run_id);
        }
        let shared = Shared {
            engine: engine.clone(),
            run_id,
            epoch: lease.epoch,
            worker: lease.holder.worker.clone(),
            state: Mutex::new(state),
            wake: Notify::new(),
            term,
            wake_soon: Notify::new(),
            output_came: Notify::new(),
            transition_came: Notify::new(),
            durable: watch::Sender::new(durable),
            writing: tokio::sync::Mutex::new(()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the run's id.
    pub(crate) fn run_id(&self) -> &RunId {
        &self.shared.run_id
    }

    /// Returns the name of the worker that holds the lease; `None` for a process of the run's own.
    pub(crate) fn worker(&self) -> Option<&String> {
        self.shared.worker.as_ref()
    }

    /// Returns the lease's number.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Returns the number of the last event that is decided, durable or not.
    pub(crate) fn head_seq(&self) -> u64 {
        self.state().last_seq()
    }

    /// Calls `look` with the run and its steps as they are decided so far, durable or not.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Run, &Steps) -> T) -> T {
        let state = self.state();
        look(state.run(), state.draft.steps())
    }

    /// Decides a command and records its events, which are durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Draft`] if the model refuses; otherwise the journal is lost to this process, and
    /// the agent that it supervises must be stopped.
    pub(crate) async fn command(&self, command: &Command) -> Result<Decision, Error> {
        let (decision, seq) = self.record(command, &[])?;
        self.durable(seq).await?;
        Ok(decision)
    }

    /// Decides commands that follow each other, and records them in one commit.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`]. Events of commands before the refused one are recorded.
    pub(crate) async fn commands(&self, commands: &[Command]) -> Result<(), Error> {
        let now = self.shared.engine.now();
        let seq = {
            let mut state = self.open_state()?;
            state.flush_output(now)?;
            for command in commands {
                state.command(command, now)?;
            }
            state.last_seq()
        };
        self.shared.wake.notify_one();
        self.durable(seq).await
    }

    /// Decides a command in answer to requests, which are gone with its commit.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`].
    pub(crate) async fn answer(
        &self,
        command: &Command,
        requests: &[i64],
    ) -> Result<Decision, Error> {
        let (decision, seq) = self.record(command, requests)?;
        self.durable(seq).await?;
        Ok(decision)
    }

    /// Decides and records a command, and returns the number of its last event without waiting for
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Draft`] if the model refuses, [`crate::error::RunEnding`] once the last events are
    /// decided.
    pub(crate) fn record(
        &self,
        command: &Command,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        self.record_with(|_, _| Ok(command.clone()), answered)
    }

    /// Records a command that is made from the run as it is at that very moment.
    ///
    /// # Errors
    ///
    /// Errors of `make`, and as [`Journal::record`].
    pub(crate) fn record_with(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        let recorded = self.add(make, answered)?;
        self.shared.wake.notify_one();
        Ok(recorded)
    }

    /// Records the start of a step without waiting for it: a step that begins and does not end is
    /// begun again, with or without the record. The event becomes durable with the next commit, or
    /// a little later.
    ///
    /// Under a lease that is about to end, the caller waits all the same: another process may have
    /// taken the run by now, and done the step.
    ///
    /// # Errors
    ///
    /// As [`Journal::record_with`]; under a lease that is about to end, as [`Journal::command`].
    pub(crate) async fn record_start(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
    ) -> Result<u64, Error> {
        let (_, seq) = self.add(make, &[])?;
        if self.shared.term.lasts(START_IS_SAFE_FOR) {
            self.shared.wake_soon.notify_one();
        } else {
            self.durable(seq).await?;
        }
        Ok(seq)
    }

    fn add(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        let now = self.shared.engine.now();
        let mut state = self.open_state()?;
        state.flush_output(now)?;
        let command = make(state.run(), state.draft.steps())?;
        let decision = state.command(&command, now)?;
        state.answered.extend_from_slice(answered);
        Ok((decision, state.last_seq()))
    }

    /// Waits until event `seq` is durable.
    ///
    /// # Errors
    ///
    /// The error that lost the journal.
    pub(crate) async fn durable(&self, seq: u64) -> Result<(), Error> {
        let mut durable = self.shared.durable.subscribe();
        if durable.borrow_and_update().seq < seq {
            self.shared.wake.notify_one();
        }
        let reached = durable
            .wait_for(|durable| durable.seq >= seq || durable.lost.is_some())
            .await
            .map_err(|_| RunEnding)?;
        match &reached.lost {
            Some(error) if reached.seq < seq => {
                Err(JournalProblem::Lost { source: Arc::clone(error) }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Waits until `find` returns a value for the run, and that state is durable.
    ///
    /// # Errors
    ///
    /// The error that lost the journal.
    pub(crate) async fn until<T>(&self, find: impl Fn(&Run) -> Option<T>) -> Result<T, Error> {
        let mut durable = self.shared.durable.subscribe();
        loop {
            // A later decision becomes durable later, which ends the wait below.
            durable.mark_unchanged();
            let (found, seq) = {
                let state = self.state();
                (find(state.run()), state.last_seq())
            };
            if let Some(found) = found {
                self.durable(seq).await?;
                return Ok(found);
            }
            if let Some(source) = durable.borrow().lost.clone() {
                return Err(JournalProblem::Lost { source }.into());
            }
            durable.changed().await.map_err(|_| RunEnding)?;
        }
    }

    /// Drops a request that has no effect: it is gone with the next commit.
    pub(crate) fn forget(&self, request: i64) {
        self.state().answered.push(request);
    }

    /// Waits until the journal is lost: fenced, or the registry could not be written for too long.
    pub(crate) async fn lost(&self) -> Arc<Error> {
        let mut durable = self.shared.durable.subscribe();
        match durable.wait_for(|durable| durable.lost.is_some()).await {
            Ok(reached) => reached.lost.clone().unwrap_or_else(|| Arc::new(Error::from(RunEnding))),
            Err(_) => Arc::new(Error::from(RunEnding)),
        }
    }

    /// Checks that the lease is known to be in force.
    ///
    /// # Errors
    ///
    /// [`JournalProblem::LeaseOver`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.shared.term.is_over() { Err(self.lease_over()) } else { Ok(()) }
    }

    /// Ends the term of the lease: this process writes nothing more, and renews it no more.
    pub(crate) fn let_go(&self) {
        self.shared.term.end();
    }

    /// Waits until disk space for the end of the attempt is due, and reserves it.
    async fn reserve_due(&self) {
        let due_at = self.state().reserve_due_at;
        let Some(due_at) = due_at else { return std::future::pending().await };
        tokio::time::sleep_until(due_at).await;
        let mut state = self.state();
        state.reserve_due_at = None;
        if !state.closed {
            state.reserve = DiskReserve::take(self.shared.engine.registry(), &self.shared.run_id);
        }
    }

    /// Returns the state, if anything more may be decided.
    fn open_state(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.closed {
            return Err(RunEnding.into());
        }
        self.check()?;
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code path panics while it holds the lock; if one did, the state would still be whole,
        // since it changes only in finished steps.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
