//! A run's journal in the hands of the one process that may write it.
//!
//! Decisions are made at once, in memory; their events become durable together: whatever was
//! decided while one commit was under way goes into the next. [`Journal::command`] returns when its
//! events are durable.
//!
//! Deliberately absent: reloading. Nobody else writes the journal while its lease is held.

mod fire;
mod output;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use errand_model::event::EventBody;
use errand_model::run::{Command, Decision, Run};
use errand_model::step::{Step, Steps};
use errand_model::{Event, EventContext, Head, RunId, Timestamp};
use errand_store::{Append, Fence, FinalSnapshot, Lease, Store, Stored};
use tokio::sync::{Notify, watch};

use crate::{Engine, Error, outbox, record_file};

/// How long the registry may refuse to be written before the run is given up to whoever
/// reconciles: longer than a restart of a disk's owner, shorter than anyone's patience.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long the start of a step may wait for a commit that is made anyway, such as the one of its
/// completion: long enough for a quick step, too short to be missed in a record.
const START_MAY_WAIT: Duration = Duration::from_millis(5);
/// Between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A run whose lease this process holds. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    run_id: RunId,
    epoch: u64,
    state: Mutex<State>,
    wake: Notify,
    /// Whether the lease is this process's for as long as it lives: then nobody else can have gone
    /// on with the run meanwhile.
    is_for_life: bool,
    wake_soon: Notify,
    output_came: Notify,
    durable: watch::Sender<Durable>,
    /// Held while a batch is on its way to the store, so that batches arrive in order.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    run: Run,
    head: Head,
    steps: Steps,
    batch: Batch,
    output: output::Pending,
    /// Nothing more is taken in: the last events are being written.
    closed: bool,
}

/// Events that are decided and not durable yet.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Event>,
    steps: Vec<Step>,
    answered: Vec<i64>,
    is_transition: bool,
}

/// How far the journal is durable.
#[derive(Clone, Debug, Default)]
struct Durable {
    seq: u64,
    lost: Option<Arc<Error>>,
}

impl Journal {
    /// The journal of a run under `lease`.
    ///
    /// # Errors
    ///
    /// If its steps cannot be read.
    pub(crate) async fn open(
        engine: &Engine,
        stored: Stored,
        lease: &Lease,
    ) -> Result<Self, Error> {
        let steps = if stored.head.seq > 1 {
            engine.store().steps(&stored.run.id).await?
        } else {
            Vec::new()
        };
        Ok(Self::with_steps(engine, stored, lease, Steps::from_stored(steps)))
    }

    /// The journal of the same run under the next lease, which this process took from itself. Where
    /// nobody else wrote in between, what it knows of the steps is not read again.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub(crate) async fn reopen(&self, stored: Stored, lease: &Lease) -> Result<Self, Error> {
        let known = {
            let state = self.state();
            (state.head == stored.head).then(|| state.steps.clone())
        };
        match known {
            Some(steps) => Ok(Self::with_steps(&self.shared.engine, stored, lease, steps)),
            None => Self::open(&self.shared.engine, stored, lease).await,
        }
    }

    fn with_steps(engine: &Engine, stored: Stored, lease: &Lease, steps: Steps) -> Self {
        let durable = Durable { seq: stored.head.seq, lost: None };
        let shared = Shared {
            engine: engine.clone(),
            run_id: stored.run.id.clone(),
            epoch: lease.epoch,
            state: Mutex::new(State {
                run: stored.run,
                head: stored.head,
                steps,
                batch: Batch::default(),
                output: output::Pending::default(),
                closed: false,
            }),
            wake: Notify::new(),
            is_for_life: lease.expires_at.is_none(),
            wake_soon: Notify::new(),
            output_came: Notify::new(),
            durable: watch::Sender::new(durable),
            writing: tokio::sync::Mutex::new(()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The run's id.
    pub(crate) fn run_id(&self) -> &RunId {
        &self.shared.run_id
    }

    /// The lease's number.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// The number of the last event that is decided, durable or not.
    pub(crate) fn head_seq(&self) -> u64 {
        self.state().head.seq
    }

    /// Looks at the run as it is decided so far, durable or not.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Run, &Steps) -> T) -> T {
        let state = self.state();
        look(&state.run, &state.steps)
    }

    /// Decides and records; the events are durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the model refuses; otherwise the journal is lost to this process, and
    /// whatever it supervises must stop.
    pub(crate) async fn command(&self, command: &Command) -> Result<Decision, Error> {
        let (decision, seq) = self.record(command, &[])?;
        self.durable(seq).await?;
        Ok(decision)
    }

    /// The same for several that follow each other, in one commit.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`]. What comes before a command that is refused is recorded.
    pub(crate) async fn commands(&self, commands: &[Command]) -> Result<(), Error> {
        let now = self.shared.engine.now();
        let seq = {
            let mut state = self.state();
            if state.closed {
                return Err(Error::Closed);
            }
            state.flush_output(now)?;
            for command in commands {
                let decision = state.run.decide(command, now)?;
                state.take_in(&decision.events, now)?;
            }
            state.head.seq
        };
        self.shared.wake.notify_one();
        self.durable(seq).await
    }

    /// The same, in answer to requests, which are gone with the commit.
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

    /// Decides and records, and returns the number of the last event without waiting for it.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the model refuses, [`Error::Closed`] once the last events are decided.
    pub(crate) fn record(
        &self,
        command: &Command,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        self.record_with(|_, _| Ok(command.clone()), answered)
    }

    /// The same for a command that is made from the run as it is at that very moment.
    ///
    /// # Errors
    ///
    /// What `make` refuses, and as [`Journal::record`].
    pub(crate) fn record_with(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        let recorded = self.take_in(make, answered)?;
        self.shared.wake.notify_one();
        Ok(recorded)
    }

    /// The same for the start of a step, which nobody has to wait for: a step that begins and is
    /// never heard of is begun again, whether the record knows of it or not. It becomes durable with
    /// whatever comes next, or a little later.
    ///
    /// Under a lease that can run out, the caller waits all the same: the run may be somebody else's
    /// by now, and the step done.
    ///
    /// # Errors
    ///
    /// As [`Journal::record_with`]; for a lease that can run out, as [`Journal::command`].
    pub(crate) async fn record_start(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
    ) -> Result<u64, Error> {
        let (_, seq) = self.take_in(make, &[])?;
        if self.shared.is_for_life {
            self.shared.wake_soon.notify_one();
        } else {
            self.durable(seq).await?;
        }
        Ok(seq)
    }

    fn take_in(
        &self,
        make: impl FnOnce(&Run, &Steps) -> Result<Command, Error>,
        answered: &[i64],
    ) -> Result<(Decision, u64), Error> {
        let now = self.shared.engine.now();
        let mut state = self.state();
        if state.closed {
            return Err(Error::Closed);
        }
        state.flush_output(now)?;
        let command = make(&state.run, &state.steps)?;
        let decision = state.run.decide(&command, now)?;
        state.take_in(&decision.events, now)?;
        state.batch.answered.extend_from_slice(answered);
        // Without a process, others write its journal from here on.
        state.closed |= state.run.is_at_rest();
        Ok((decision, state.head.seq))
    }

    /// Waits until event `seq` is durable.
    ///
    /// # Errors
    ///
    /// What made the journal be lost.
    pub(crate) async fn durable(&self, seq: u64) -> Result<(), Error> {
        let mut durable = self.shared.durable.subscribe();
        if durable.borrow_and_update().seq < seq {
            self.shared.wake.notify_one();
        }
        let reached = durable
            .wait_for(|durable| durable.seq >= seq || durable.lost.is_some())
            .await
            .map_err(|_| Error::Closed)?;
        match &reached.lost {
            Some(error) if reached.seq < seq => {
                Err(Error::JournalLost { source: Arc::clone(error) })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Waits until `find` finds something in the run, and that is durable.
    ///
    /// # Errors
    ///
    /// What made the journal be lost.
    pub(crate) async fn until<T>(&self, find: impl Fn(&Run) -> Option<T>) -> Result<T, Error> {
        let mut durable = self.shared.durable.subscribe();
        loop {
            // Whatever is decided from here on becomes durable later, which wakes us.
            durable.mark_unchanged();
            let (found, seq) = {
                let state = self.state();
                (find(&state.run), state.head.seq)
            };
            if let Some(found) = found {
                self.durable(seq).await?;
                return Ok(found);
            }
            if let Some(source) = durable.borrow().lost.clone() {
                return Err(Error::JournalLost { source });
            }
            durable.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Lets a request go that nothing can be done about: it is gone with the next commit.
    pub(crate) fn forget(&self, request: i64) {
        self.state().batch.answered.push(request);
    }

    /// Waits until the journal is lost: fenced, or the registry could not be written for too long.
    pub(crate) async fn lost(&self) -> Arc<Error> {
        let mut durable = self.shared.durable.subscribe();
        match durable.wait_for(|durable| durable.lost.is_some()).await {
            Ok(reached) => reached.lost.clone().unwrap_or_else(|| Arc::new(Error::Closed)),
            Err(_) => Arc::new(Error::Closed),
        }
    }

    /// Records the end of an attempt. If the run is over with it, the terminal snapshot is written
    /// and synced first, and nothing can be recorded afterwards.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`]. If the snapshot was written, the run ends as it says all the same:
    /// whoever reconciles takes it from there.
    pub(crate) async fn end(&self, command: &Command) -> Result<Decision, Error> {
        let now = self.shared.engine.now();
        self.close_output()?;
        // Everything before it must be durable: the snapshot's events follow the registry's.
        let before = self.state().head.seq;
        self.durable(before).await?;
        let (decision, seq, snapshot) = {
            let mut state = self.state();
            let decision = state.run.decide(command, now)?;
            let (first, attempt) = (state.batch.events.len(), state.run.last_attempt_number());
            let head = state.head;
            state.take_in(&decision.events, now)?;
            let snapshot = state.run.status.is_terminal().then(|| FinalSnapshot {
                run_id: state.run.id.clone(),
                attempt,
                epoch: self.shared.epoch,
                head_before: head,
                events: state.batch.events[first..].to_vec(),
            });
            state.closed |= snapshot.is_some() || state.run.is_at_rest();
            (decision, state.head.seq, snapshot)
        };
        if let Some(snapshot) = snapshot {
            // Without it the registry alone decides; nothing is lost by going on.
            if let Err(error) = snapshot.write(self.shared.engine.registry()) {
                drop(error);
            }
        }
        self.shared.wake.notify_one();
        self.durable(seq).await?;
        Ok(decision)
    }

    /// Writes what is recorded, for as long as the journal is open. Its owner runs it beside
    /// everything else and aborts it at the end.
    pub(crate) async fn write(self) {
        loop {
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = self.shared.wake_soon.notified() => {
                    let woken = self.shared.wake.notified();
                    // Whether it was woken or waited long enough: it writes.
                    drop(tokio::time::timeout(START_MAY_WAIT, woken).await);
                }
                () = self.output_due() => {}
            }
            let _order = self.shared.writing.lock().await;
            while let Some(append) = self.next_batch() {
                let written = self.write_one(append, Store::append);
                if let Err(error) = written.await {
                    self.lose(error);
                    return;
                }
            }
        }
    }

    fn lose(&self, error: Error) -> Error {
        let error = Arc::new(error);
        let lost = Some(Arc::clone(&error));
        self.shared.durable.send_modify(|durable| durable.lost = lost);
        Error::JournalLost { source: error }
    }

    fn next_batch(&self) -> Option<Append> {
        let mut state = self.state();
        (!state.batch.events.is_empty()).then(|| self.next_append(&mut state))
    }

    /// What is to be written next, with the run exactly as it is after it.
    fn next_append(&self, state: &mut State) -> Append {
        let batch = std::mem::take(&mut state.batch);
        let documents = outbox::documents(&state.run, &batch.events);
        Append {
            run: state.run.clone(),
            head: state.head,
            events: batch.events,
            steps: batch.steps,
            fence: Fence { epoch: self.shared.epoch },
            snapshot: batch.is_transition,
            // A run that waits for a person without a process belongs to nobody.
            release: state.run.is_at_rest(),
            requeue: None,
            answered: batch.answered,
            documents,
        }
    }

    /// Writes one append, again and again while the registry may come back.
    async fn write_one<'s, T, F>(
        &'s self,
        append: Append,
        write: impl Fn(&'s dyn Store, Append) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, errand_store::Error>>,
    {
        let engine = &self.shared.engine;
        let deadline = tokio::time::Instant::now() + GIVE_UP_AFTER;
        let written = loop {
            match write(engine.store().as_ref(), append.clone()).await {
                Ok(written) => break written,
                Err(error) if !may_pass(&error) || tokio::time::Instant::now() >= deadline => {
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(TRY_AGAIN_AFTER).await,
            }
        };
        self.shared.durable.send_modify(|durable| durable.seq = append.head.seq);
        if append.snapshot {
            record_file::write_quietly(engine, &append.run, append.head, Some(engine.holder()));
        }
        Ok(written)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code path panics while it holds the lock; were one to, the state is still whole,
        // since it only ever changes by finished steps.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the registry may take it later.
const fn may_pass(error: &errand_store::Error) -> bool {
    matches!(
        error,
        errand_store::Error::Busy { .. }
            | errand_store::Error::Full { .. }
            | errand_store::Error::ReadOnly { .. }
            // Gone for as long as somebody makes it anew from the files beside it.
            | errand_store::Error::Missing { .. }
            | errand_store::Error::Lost { .. }
            | errand_store::Error::Database { .. }
    )
}

impl State {
    /// Applies, seals and queues what was decided.
    fn take_in(&mut self, events: &[EventBody], now: Timestamp) -> Result<(), Error> {
        for body in events {
            let attempt = if let EventBody::AttemptStarted(started) = body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            let context = EventContext { at: now, attempt };
            self.run.apply(context, body)?;
            if let Some(step) = self.steps.apply(now, attempt, body) {
                let step = step.clone();
                self.batch.steps.push(step);
            }
            let event = self.head.seal(&self.run.id, now, attempt, body);
            self.batch.events.push(event);
            self.batch.is_transition |= record_file::is_transition(body);
        }
        Ok(())
    }
}
