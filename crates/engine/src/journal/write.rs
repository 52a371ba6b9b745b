//! How what was decided becomes durable.

use std::sync::Arc;
use std::time::Duration;

use errand_store::{Append, Fence, Store};

use super::Journal;
use super::state::State;
use crate::{Error, coordinate, deadlines, follow_up, lease, record_file};

/// How long the registry may refuse to be written before the run is given up to whoever
/// reconciles: longer than a restart of a disk's owner, shorter than anyone's patience.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long the start of a step may wait for a commit that is made anyway, such as the one of its
/// completion: long enough for a quick step, too short to be missed in a record.
const START_MAY_WAIT: Duration = Duration::from_millis(5);
/// Between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

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
                let written = self.write_one(append, Store::append);
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

    /// Writes one append, again and again while the registry may come back.
    pub(super) async fn write_one<'s, T, F>(
        &'s self,
        append: Append,
        write: impl Fn(&'s dyn Store, Append) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, errand_store::Error>>,
    {
        let engine = &self.shared.engine;
        let deadline = tokio::time::Instant::now() + GIVE_UP_AFTER;
        let mut append = append;
        append.documents.extend(follow_up::documents(engine, &append.run, &append.events));
        let written = loop {
            if self.shared.term.is_over() {
                return Err(self.lease_over());
            }
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
