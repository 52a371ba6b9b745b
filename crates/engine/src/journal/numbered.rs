//! Events that know their own number, and what changes together with them.

use errand_model::run::{Command, Run};
use errand_store::DocumentWrite;

use super::Journal;
use crate::Error;

impl Journal {
    /// Records a report whose first event is made from the run and from the number that it will
    /// have, together with changes of documents. Returns that number once everything is durable.
    ///
    /// Whatever the documents are expected to be, somebody else may have changed them, and the journal
    /// is lost then: only what nobody else writes may be among them.
    ///
    /// # Errors
    ///
    /// What `make` refuses, and as [`Journal::command`].
    pub(crate) async fn record_numbered(
        &self,
        make: impl FnOnce(&Run, u64) -> Result<Command, Error>,
        documents: Vec<DocumentWrite>,
        recorded: impl FnOnce(u64),
    ) -> Result<u64, Error> {
        let (first, last) = self.take_in_numbered(make, documents)?;
        recorded(first);
        self.shared.wake.notify_one();
        self.durable(last).await?;
        Ok(first)
    }

    fn take_in_numbered(
        &self,
        make: impl FnOnce(&Run, u64) -> Result<Command, Error>,
        documents: Vec<DocumentWrite>,
    ) -> Result<(u64, u64), Error> {
        let now = self.shared.engine.now();
        let mut state = self.open_state()?;
        state.flush_output(now)?;
        let first = state.head.seq + 1;
        let command = make(&state.run, first)?;
        let decision = state.run.decide(&command, now)?;
        state.take_in(&decision.events, now)?;
        state.batch.documents.extend(documents);
        Ok((first, state.head.seq))
    }
}
