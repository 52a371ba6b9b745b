//! Wakes of a service: the wake is recorded and its run admitted in one commit.

use errand_model::run::Command;
use errand_store::{Admission, Lease};

use super::write::Patience;
use super::{Error, Journal};
use crate::commit::Admits;

impl Journal {
    /// Records the wake of a service and admits its run, in one commit. Returns the lease of that
    /// run; `None` if the wake was fired or skipped before, and nothing happened.
    ///
    /// # Errors
    ///
    /// As [`Journal::command`].
    pub(crate) async fn fire(
        &self,
        command: &Command,
        child: Admission,
        answered: &[i64],
    ) -> Result<Option<Lease>, Error> {
        let now = self.shared.engine.now();
        let _order = self.shared.writing.lock().await;
        let commit = {
            let mut state = self.open_state()?;
            if state.command(command, now)?.events.is_empty() {
                return Ok(None);
            }
            state.answered.extend_from_slice(answered);
            state.take_commit(self.shared.epoch, now)
        };
        let admits = Admits::Held(Box::new(child));
        let written = self.write_one(commit, Patience::USUAL, &admits).await;
        written.map_err(|error| self.lose(error))
    }
}
