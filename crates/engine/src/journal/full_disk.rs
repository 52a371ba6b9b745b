//! The end of an attempt that met a full disk.
//!
//! The agent is dead by then. What was decided and could not be written is written with the end of
//! the attempt, into the space that was set aside for that; and it is left beside the journal, so
//! that the next command that looks records it should there be no space even so.

use std::time::Duration;

use errand_model::event::{Failure, ProcessUsage};
use errand_model::run::{EndAttempt, Outcome, Run, Status};
use errand_model::{Head, Timestamp};
use errand_store::{Append, FinalSnapshot, Store};

use super::Journal;
use super::state::{Batch, State};
use super::write::Patience;
use crate::Error;

/// How long the last commit is tried: whatever else fills the disk may take the space as well.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// Where the journal ended that is durable, and which attempt that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) head: Head,
    pub(super) attempt: u32,
    pub(super) epoch: u64,
}

impl Written {
    pub(super) fn of(run: &Run, head: Head) -> Self {
        Self { head, attempt: run.last_attempt_number(), epoch: run.epoch }
    }
}

impl Journal {
    /// Records that the live attempt ended since the disk is full, if its end was not decided
    /// already, with everything that could not be written before. Returns whether there is no live
    /// attempt any more; nothing changed where there was none to end.
    ///
    /// # Errors
    ///
    /// If it cannot be written even so. Whoever reconciles takes it from the snapshot.
    pub(crate) async fn end_on_full_disk(&self, failure: Failure) -> Result<bool, Error> {
        let _order = self.shared.writing.lock().await;
        self.check()?;
        let (append, snapshot) = {
            let mut state = self.state();
            let written = state.written;
            let Some(append) = self.last_append(&mut state, failure)? else { return Ok(false) };
            let snapshot = FinalSnapshot {
                run_id: append.run.id.clone(),
                attempt: written.attempt,
                epoch: written.epoch,
                head_before: written.head,
                events: append.events.clone(),
            };
            (append, snapshot)
        };
        let has_ended = append.run.live_attempt().is_none();
        self.keep(has_ended.then_some(snapshot));
        if is_handed_over(&append.run) {
            // Its successor is admitted in the same commit: by whoever reconciles.
            return Ok(false);
        }
        self.write_one(append, Patience::of_full_disk(LAST_COMMIT), Store::append).await?;
        Ok(has_ended)
    }

    /// All that is not written, with the end of the attempt; `None` if there is nothing.
    fn last_append(&self, state: &mut State, failure: Failure) -> Result<Option<Append>, Error> {
        let now = self.shared.engine.now();
        let stuck = state.unwritten.take();
        if state.run.live_attempt().is_none() && state.batch.events.is_empty() {
            return Ok(stuck);
        }
        if let Some(stuck) = stuck {
            state.batch.put_before(stuck);
        }
        if state.run.live_attempt().is_some() {
            state.flush_output(now)?;
            let end = end_of(&state.run, failure, now);
            let decision = state.run.decide(&end.into(), now)?;
            state.take_in(&decision.events, now)?;
            state.closed = true;
        }
        Ok((!state.batch.events.is_empty()).then(|| self.next_append(state)))
    }
}

fn end_of(run: &Run, failure: Failure, now: Timestamp) -> EndAttempt {
    let wall = run.live_attempt().map(|live| now.since(live.started_at)).unwrap_or_default();
    EndAttempt {
        attempt: run.last_attempt_number(),
        outcome: Outcome::Failed(failure),
        exit_code: None,
        signal: None,
        usage: ProcessUsage { wall, ..ProcessUsage::default() },
    }
}

fn is_handed_over(run: &Run) -> bool {
    matches!(run.status, Status::Completed { .. }) && run.handoff.is_some()
}

impl Batch {
    /// Puts what could not be written before what was decided since.
    fn put_before(&mut self, stuck: Append) {
        let Append { mut events, mut steps, mut answered, mut documents, snapshot, .. } = stuck;
        events.append(&mut self.events);
        steps.append(&mut self.steps);
        answered.append(&mut self.answered);
        documents.append(&mut self.documents);
        let is_transition = self.is_transition || snapshot;
        *self = Self { events, steps, answered, documents, is_transition };
    }
}
