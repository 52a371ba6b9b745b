//! A wake of a service: recorded, and its run admitted, in one commit.

use errand_model::run::Command;
use errand_store::{Admission, Lease};

use super::Journal;
use super::write::Patience;
use crate::Error;

impl Journal {
    /// Records the wake of a service and admits its run, in one commit. `None`: the wake was fired
    /// or skipped before, and nothing happened.
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
        let append = {
            let mut state = self.open_state()?;
            let decision = state.run.decide(command, now)?;
            if decision.events.is_empty() {
                return Ok(None);
            }
            state.take_in(&decision.events, now)?;
            state.batch.answered.extend_from_slice(answered);
            self.next_append(&mut state)
        };
        let holder = self.shared.engine.holder();
        let written = self.write_one(append, Patience::USUAL, |store, append| {
            store.append_and_admit(append, child.clone(), holder.clone())
        });
        match written.await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) => Err(self.lose(error)),
        }
    }
}
