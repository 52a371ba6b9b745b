//! The record file of a supervised run: written at once when the run ends or is let go, and a
//! moment after any other transition.
//!
//! The journal has every transition. The file is a copy for people, and most runs make several
//! transitions in their first and last milliseconds.

use std::time::Duration;

use errand_model::Head;
use errand_model::run::Run;
use tokio::time::Instant;

use super::Journal;
use crate::commit::Commit;
use crate::record_file;

/// Time by which the file may be behind the journal.
const MAY_LAG: Duration = Duration::from_millis(20);

/// Durable state that the record file does not show yet.
#[derive(Clone, Debug)]
pub(super) struct Unrecorded {
    due_at: Instant,
    run: Run,
    head: Head,
}

impl Unrecorded {
    pub(super) fn new(run: Run, head: Head) -> Self {
        Self { due_at: Instant::now() + MAY_LAG, run, head }
    }
}

impl Journal {
    /// Updates the record file after a commit, or leaves that to [`Journal::record_due`].
    pub(super) fn note_committed(&self, commit: &Commit) {
        let engine = &self.shared.engine;
        if commit.run.status.is_terminal() || commit.lets_go() {
            self.state().unrecorded = None;
            commit.write_record(engine);
        } else if commit.added.is_transition {
            let mut state = self.state();
            let due_at = state.unrecorded.take().map(|waiting| waiting.due_at);
            let mut next = Unrecorded::new(commit.run.clone(), commit.head);
            next.due_at = due_at.unwrap_or(next.due_at);
            state.unrecorded = Some(next);
            drop(state);
            self.shared.transition_came.notify_one();
        }
    }

    /// Waits until the record file is due, and writes it.
    pub(super) async fn record_due(&self) {
        loop {
            let due_at = self.state().unrecorded.as_ref().map(|waiting| waiting.due_at);
            match due_at {
                Some(at) if at <= Instant::now() => return self.write_unrecorded(),
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.shared.transition_came.notified().await,
            }
        }
    }

    /// Writes the record file now, if it is behind. Without the lease, it is the next holder's to
    /// write.
    pub(crate) fn write_unrecorded(&self) {
        let Some(Unrecorded { run, head, .. }) = self.state().unrecorded.take() else { return };
        if self.shared.term.is_over() || self.shared.durable.borrow().lost.is_some() {
            return;
        }
        let engine = &self.shared.engine;
        record_file::write_quietly(engine, &run, head, Some(engine.holder()));
    }

    /// Leaves the record file as it is, because the lease is given back and nothing was committed.
    pub(crate) fn keep_record(&self) {
        self.state().unrecorded = None;
    }
}
