//! The end of an attempt, and of the run if it ends with it.

use std::time::Duration;

use errand_model::RunId;
use errand_model::draft::Additions;
use errand_model::run::{Command, Decision, Status};
use errand_store::files::Sync;
use errand_store::{Admission, Lease};

use super::state::State;
use super::write::Patience;
use super::{Error, Journal};
use crate::Engine;
use crate::commit::{self, Admits};

/// Time in which the last commit is usually durable. If it takes longer, because the registry is
/// busy or cannot be reached, the terminal snapshot is synced meanwhile.
const COMMIT_IS_SOON: Duration = Duration::from_millis(50);

impl Journal {
    /// Records the end of an attempt. If the run ends with it, the terminal snapshot is written
    /// first, and nothing can be recorded afterwards. Whichever comes first makes the end survive a
    /// loss of power: the commit, or a sync of the snapshot.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`]. If the snapshot was written, the run ends as it says all the same:
    /// reconciliation follows it.
    pub(crate) async fn end(&self, command: &Command) -> Result<Decision, Error> {
        self.all_before().await?;
        let (decision, seq, ending) = {
            let mut state = self.state();
            let (decision, ending) = self.decide_end(&mut state, command)?;
            (decision, state.last_seq(), ending)
        };
        self.leave_snapshot(ending.as_ref(), Sync::No);
        self.shared.wake.notify_one();
        self.or_sync_snapshot(ending.is_some(), self.durable(seq)).await?;
        Ok(decision)
    }

    /// Records the end as [`Journal::end`] does. If the run ends well, `successor` is admitted in
    /// that commit; unless it waits in the queue, this process then holds it, as
    /// [`Journal::held_successor`] says.
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
        let (decision, commit, ending) = {
            let mut state = self.state();
            let (decision, ending) = self.decide_end(&mut state, command)?;
            (decision, state.take_commit(self.shared.epoch, self.shared.engine.now()), ending)
        };
        self.leave_snapshot(ending.as_ref(), Sync::No);
        let admits = match commit.run.status {
            Status::Completed { .. } if successor.queued.is_some() => Admits::All(vec![successor]),
            Status::Completed { .. } => Admits::Held(Box::new(successor)),
            Status::Pending { .. }
            | Status::Running { .. }
            | Status::Paused { .. }
            | Status::Failed { .. }
            | Status::Cancelled { .. } => Admits::Nothing,
        };
        let written = self.write_one(commit, Patience::USUAL, &admits);
        let written = self.or_sync_snapshot(ending.is_some(), written).await;
        let lease = written.map_err(|error| self.lose(error))?;
        self.note_successor(admits, lease);
        Ok(decision)
    }

    /// Waits for the last commit; syncs the terminal snapshot, if there is one, once the commit
    /// takes long or has failed.
    async fn or_sync_snapshot<T, E>(
        &self,
        has_snapshot: bool,
        written: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut written = std::pin::pin!(written);
        if !has_snapshot {
            return written.await;
        }
        let soon = tokio::time::timeout(COMMIT_IS_SOON, &mut written).await;
        if !matches!(soon, Ok(Ok(_))) {
            commit::sync_snapshot(&self.shared.engine, &self.shared.run_id);
        }
        match soon {
            Ok(written) => written,
            Err(_) => written.await,
        }
    }

    fn note_successor(&self, admits: Admits, lease: Option<Lease>) {
        let engine: &Engine = &self.shared.engine;
        match admits {
            Admits::Nothing => {}
            Admits::All(admissions) => {
                for admission in &admissions {
                    commit::write_record_of_new(engine, admission, None);
                }
            }
            Admits::Held(admission) => {
                commit::write_record_of_new(engine, &admission, Some(engine.holder()));
                self.state().successor = lease.map(|lease| (admission.run.id, lease));
            }
        }
    }

    /// Gives the run that carries on, if this process holds it, once.
    pub(crate) fn held_successor(&self) -> Option<(RunId, Lease)> {
        self.state().successor.take()
    }

    /// Waits until everything before the end is durable: the snapshot's events follow the
    /// registry's.
    async fn all_before(&self) -> Result<(), Error> {
        self.close_output()?;
        let before = self.state().last_seq();
        self.durable(before).await
    }

    /// Decides the end. Returns the events that the next commit has, if the run ends with them.
    fn decide_end(
        &self,
        state: &mut State,
        command: &Command,
    ) -> Result<(Decision, Option<Additions>), Error> {
        self.check()?;
        let decision = state.command(command, self.shared.engine.now())?;
        let is_over = state.run().status.is_terminal();
        state.closed |= is_over;
        Ok((decision, is_over.then(|| state.draft.added().clone())))
    }

    /// Writes the terminal snapshot, if there is an end to write, and gives back the space that was
    /// set aside for it.
    pub(super) fn leave_snapshot(&self, ending: Option<&Additions>, sync: Sync) {
        let reserve = self.state().reserve.take();
        if let Some(added) = ending {
            commit::write_snapshot(&self.shared.engine, &self.shared.run_id, added, reserve, sync);
        }
    }
}
