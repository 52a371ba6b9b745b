//! End of an attempt that met a full disk.
//!
//! The agent is dead by then. The commit that failed is written again together with the end of the
//! attempt, into the space that was set aside for that. The same events are left beside the
//! journal, so that reconciliation records them should there be no space even so.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::{AttemptOutcome, EndAttempt, Run, Status};
use errand_store::files::Sync;

use super::state::State;
use super::write::Patience;
use super::{Error, Journal};
use crate::commit::{Admits, Commit};

/// Time for which the last commit is tried: another writer may take the space as well.
const LAST_COMMIT: Duration = Duration::from_secs(2);

impl Journal {
    /// Records that the live attempt ended since the disk is full, if its end was not decided
    /// already, with all events that could not be written before. Returns whether the run has no
    /// live attempt any more; nothing changed where there was none to end.
    ///
    /// # Errors
    ///
    /// If it cannot be written even so. Reconciliation follows the snapshot.
    pub(crate) async fn end_on_full_disk(&self, failure: Failure) -> Result<bool, Error> {
        let _order = self.shared.writing.lock().await;
        self.check()?;
        let Some(commit) = self.last_commit(&mut self.state(), failure)? else { return Ok(false) };
        let has_ended = commit.run.live_attempt().is_none();
        // Synced, since it may stay the only record of the end.
        self.leave_snapshot(has_ended.then_some(&commit.added), Sync::Yes);
        if is_handed_over(&commit.run) {
            // Reconciliation admits its successor, which has to be in the same commit.
            return Ok(false);
        }
        self.write_one(commit, Patience::of_full_disk(LAST_COMMIT), &Admits::Nothing).await?;
        Ok(has_ended)
    }

    /// Takes all events that are not written, with the end of the attempt; `None` if there are
    /// none.
    fn last_commit(&self, state: &mut State, failure: Failure) -> Result<Option<Commit>, Error> {
        let now = self.shared.engine.now();
        state.put_back_unwritten();
        if state.run().live_attempt().is_some() {
            state.flush_output(now)?;
            let end = end_of(state.run(), failure, now);
            state.command(&end.into(), now)?;
            state.closed = true;
        }
        Ok(state.has_events().then(|| state.take_commit(self.shared.epoch, now)))
    }
}

fn end_of(run: &Run, failure: Failure, now: Timestamp) -> EndAttempt {
    let wall = run.live_attempt().map(|live| now.since(live.started_at)).unwrap_or_default();
    EndAttempt {
        task: None,
        attempt: run.last_attempt_number(),
        outcome: AttemptOutcome::Failed(failure),
        exit_code: None,
        signal: None,
        usage: ProcessUsage { wall, ..ProcessUsage::default() },
    }
}

fn is_handed_over(run: &Run) -> bool {
    matches!(run.status, Status::Completed { .. }) && run.handoff.is_some()
}
