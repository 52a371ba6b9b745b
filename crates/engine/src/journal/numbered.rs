//! Events that contain their own number, and documents that change in their commit.

use errand_model::run::{Command, Run};
use errand_store::DocumentWrite;

use super::{Error, Journal};

impl Journal {
    /// Records a report whose first event is made from the run and from the number that the event
    /// will have, together with changes of documents. Returns that number once all is durable.
    ///
    /// A document that is not as the change expects it loses the journal: only documents that no
    /// other process writes may be among them.
    ///
    /// # Errors
    ///
    /// Errors of `make`, and as [`Journal::command`].
    pub(crate) async fn record_numbered(
        &self,
        make: impl FnOnce(&Run, u64) -> Result<Command, Error>,
        documents: Vec<DocumentWrite>,
        recorded: impl FnOnce(u64),
    ) -> Result<u64, Error> {
        let (first, last) = self.add_numbered(make, documents)?;
        recorded(first);
        self.shared.wake.notify_one();
        self.durable(last).await?;
        Ok(first)
    }

    fn add_numbered(
        &self,
        make: impl FnOnce(&Run, u64) -> Result<Command, Error>,
        documents: Vec<DocumentWrite>,
    ) -> Result<(u64, u64), Error> {
        let now = self.shared.engine.now();
        let mut state = self.open_state()?;
        state.flush_output(now)?;
        let first = state.last_seq() + 1;
        let command = make(state.run(), first)?;
        state.command(&command, now)?;
        state.documents.extend(documents);
        Ok((first, state.last_seq()))
    }
}
