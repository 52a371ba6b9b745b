//! How what was decided becomes durable.

use std::sync::Arc;
use std::time::Duration;

use errand_store::{Append, Fence, Store};

use super::Journal;
use super::full_disk::Written;
use super::state::State;
use crate::{Error, coordinate, deadlines, follow_up, lease, record_file};

/// How long the registry may refuse to be written before the run is given up to whoever
/// reconciles: longer than a restart of a disk's owner, shorter than anyone's patience.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long a full disk may refuse it, before the attempt ends: its agent works on meanwhile, and
/// nothing of that is recorded. Well below the length of a lease, which is not renewed then either.
const FULL_DISK_MAY_LAST: Duration = Duration::from_secs(5);
/// How long the start of a step may wait for a commit that is made anyway, such as the one of its
/// completion: long enough for a quick step, too short to be missed in a record.
const START_MAY_WAIT: Duration = Duration::from_millis(5);
/// Between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How long a commit is tried again that fails in a way that may pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    full_disk: Duration,
    other: Duration,
}

impl Patience {
    /// While there is an attempt that may go on.
    pub(super) const USUAL: Self = Self { full_disk: FULL_DISK_MAY_LAST, other: GIVE_UP_AFTER };

    /// The same, with less or more of it for a full disk.
    pub(super) const fn of_full_disk(full_disk: Duration) -> Self {
        Self { full_disk, ..Self::USUAL }
    }

    /// Whether a commit that was tried for so long is tried again.
    fn lasts(self, error: &errand_store::Error, tried_for: Duration) -> bool {
        let is_full = matches!(error, errand_store::Error::Full { .. });
        may_pass(error) && tried_for < if is_full { self.full_disk } else { self.other }
    }
}

impl Journal {
    /// Writes what is recorded, for as long as the journal is open. Its owner runs it beside
    /// everything else and aborts it at the end.
    pub(crate) async fn write(self) {
        loop {
            tokio::select! {
                () = self.shared.term.over() => {
                    self.lose(self.lease_over());
                    return;
                }
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
                let written = self.write_one(append, Patience::USUAL, Store::append);
                if let Err(error) = written.await {
                    self.lose(error);
                    return;
                }
            }
        }
    }

    pub(super) fn lose(&self, error: Error) -> Error {
        let error = Arc::new(error);
        let lost = Some(Arc::clone(&error));
        self.shared.durable.send_modify(|durable| durable.lost = lost);
        Error::JournalLost { source: error }
    }

    fn next_batch(&self) -> Option<Append> {
        let mut state = self.state();
        (!state.batch.events.is_empty()).then(|| self.next_append(&mut state))
    }

    /// What is to be written next, with the run exactly as it is after it. What follows from it is
    /// found out when it is written, since that may need the blob store.
    pub(super) fn next_append(&self, state: &mut State) -> Append {
        let batch = std::mem::take(&mut state.batch);
        let goes_back = state.lets_go.then(|| lease::place_of(&state.run)).flatten();
        let mut documents = batch.documents;
        if state.lets_go {
            documents.extend(deadlines::watched(&state.run));
            // Not later than the events with which it is written: it is due when they are heard of.
            let at = batch.events.last().map_or_else(|| self.shared.engine.now(), |last| last.at);
            documents.extend(coordinate::left(&state.run, at));
        }
        Append {
            run: state.run.clone(),
            head: state.head,
            events: batch.events,
            steps: batch.steps,
            fence: Fence { epoch: self.shared.epoch },
            snapshot: batch.is_transition,
            release: state.lets_go,
            requeue: goes_back,
            answered: batch.answered,
            documents,
        }
    }

    /// Writes one append, again and again while the registry may come back. One that is not written
    /// is kept.
    pub(super) async fn write_one<'s, T, F>(
        &'s self,
        mut append: Append,
        patience: Patience,
        write: impl Fn(&'s dyn Store, Append) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, errand_store::Error>>,
    {
        let engine = &self.shared.engine;
        let began_at = tokio::time::Instant::now();
        let own_documents = append.documents.len();
        append.documents.extend(follow_up::documents(engine, &append.run, &append.events));
        let written = loop {
            if self.shared.term.is_over() {
                return Err(self.lease_over());
            }
            match write(engine.store().as_ref(), append.clone()).await {
                Ok(written) => break written,
                Err(error) if !patience.lasts(&error, began_at.elapsed()) => {
                    append.documents.truncate(own_documents);
                    self.state().unwritten = Some(append);
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(TRY_AGAIN_AFTER).await,
            }
        };
        self.state().written = Written::of(&append.run, append.head);
        self.shared.durable.send_modify(|durable| durable.seq = append.head.seq);
        if append.snapshot {
            record_file::write_quietly(engine, &append.run, append.head, Some(engine.holder()));
        }
        Ok(written)
    }

    /// Nothing is written without a lease: the run may be somebody else's by now.
    pub(super) fn lease_over(&self) -> Error {
        Error::LeaseOver { run_id: self.shared.run_id.clone() }
    }
}

/// Whether the registry may take it later.
pub(crate) const fn may_pass(error: &errand_store::Error) -> bool {
    matches!(
        error,
        errand_store::Error::Busy { .. }
            | errand_store::Error::Full { .. }
            | errand_store::Error::ReadOnly { .. }
            // Gone for as long as somebody makes it anew from the files beside it.
            | errand_store::Error::Missing { .. }
            // Away for longer than a call waits for it.
            | errand_store::Error::Unreachable { .. }
            | errand_store::Error::Lost { .. }
            | errand_store::Error::Database { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_be_reached_for_long_may_be_back_later() {
        let away = errand_store::Error::Unreachable {
            database: "postgres://somewhere".to_owned(),
            reason: "connection refused".to_owned(),
        };
        assert!(may_pass(&away));
    }
}
