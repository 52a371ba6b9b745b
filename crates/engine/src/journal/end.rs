//! The end of an attempt, and of the run if it is over with it.

use errand_model::RunId;
use errand_model::run::{Command, Decision, Status};
use errand_store::files::Sync;
use errand_store::{Admission, Append, FinalSnapshot, Lease, Store};

use super::Journal;
use super::state::State;
use super::write::Patience;
use crate::{Error, record_file};

impl Journal {
    /// Records the end of an attempt. If the run is over with it, the terminal snapshot is written
    /// and synced first, and nothing can be recorded afterwards.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`]. If the snapshot was written, the run ends as it says all the same:
    /// whoever reconciles takes it from there.
    pub(crate) async fn end(&self, command: &Command) -> Result<Decision, Error> {
        self.all_before().await?;
        let (decision, seq, snapshot) = {
            let mut state = self.state();
            let (decision, snapshot) = self.decide_end(&mut state, command)?;
            (decision, state.head.seq, snapshot)
        };
        self.keep(snapshot);
        self.shared.wake.notify_one();
        self.durable(seq).await?;
        Ok(decision)
    }

    /// The same, and if the run ends well the other run is admitted in that commit. Where nobody
    /// claims it, this process holds it then: [`Journal::held_successor`].
    ///
    /// # Errors
    ///
    /// As [`Journal::end`].
    pub(crate) async fn end_with(
        &self,
        command: &Command,
        successor: Admission,
    ) -> Result<Decision, Error> {
        self.all_before().await?;
        let _order = self.shared.writing.lock().await;
        let (decision, append, snapshot) = {
            let mut state = self.state();
            let (decision, snapshot) = self.decide_end(&mut state, command)?;
            (decision, self.next_append(&mut state), snapshot)
        };
        self.keep(snapshot);
        let written = match append.run.status {
            Status::Completed { .. } => self.write_with(append, successor).await,
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Paused { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => {
                self.write_one(append, Patience::USUAL, Store::append).await.map(drop)
            }
        };
        written.map_err(|error| self.lose(error))?;
        Ok(decision)
    }

    /// The run that carries on, if this process holds it. Gives it once.
    pub(crate) fn held_successor(&self) -> Option<(RunId, Lease)> {
        self.state().successor.take()
    }

    async fn write_with(&self, append: Append, successor: Admission) -> Result<(), Error> {
        let engine = &self.shared.engine;
        let (run, head) = (successor.run.clone(), successor.head);
        if successor.queued.is_some() {
            let written = self.write_one(append, Patience::USUAL, |store, append| {
                store.append_and_admit_all(append, vec![successor.clone()])
            });
            written.await?;
            record_file::write_quietly(engine, &run, head, None);
            return Ok(());
        }
        let holder = engine.holder();
        let written = self.write_one(append, Patience::USUAL, |store, append| {
            store.append_and_admit(append, successor.clone(), holder.clone())
        });
        let lease = written.await?;
        record_file::write_quietly(engine, &run, head, Some(holder));
        self.state().successor = Some((run.id, lease));
        Ok(())
    }

    /// Everything before it must be durable: the snapshot's events follow the registry's.
    async fn all_before(&self) -> Result<(), Error> {
        self.close_output()?;
        let before = self.state().head.seq;
        self.durable(before).await
    }

    fn decide_end(
        &self,
        state: &mut State,
        command: &Command,
    ) -> Result<(Decision, Option<FinalSnapshot>), Error> {
        self.check()?;
        let now = self.shared.engine.now();
        let decision = state.run.decide(command, now)?;
        let (first, attempt) = (state.batch.events.len(), state.run.last_attempt_number());
        let head_before = state.head;
        state.take_in(&decision.events, now)?;
        let snapshot = state.run.status.is_terminal().then(|| FinalSnapshot {
            run_id: state.run.id.clone(),
            attempt,
            epoch: self.shared.epoch,
            head_before,
            events: state.batch.events.get(first..).unwrap_or_default().to_vec(),
        });
        state.closed |= snapshot.is_some();
        Ok((decision, snapshot))
    }

    /// Leaves the end beside the journal, and gives back the space that was set aside for it.
    pub(super) fn keep(&self, snapshot: Option<FinalSnapshot>) {
        let reserve = self.state().reserve.take();
        let Some(snapshot) = snapshot else { return };
        let registry = self.shared.engine.registry();
        if snapshot.write(registry, Sync::Yes).is_err()
            && let Some(reserve) = reserve
        {
            // Without it the registry alone decides; nothing is lost by going on.
            drop(snapshot.write_into(registry, reserve.path()));
        }
    }
}
