//! Fencing: the check that a writer may append to a journal, and that its events continue it. The
//! rule is the same for every store.
//!
//! Deliberately absent: loading and locking of the run's row. Each store has its own.

use std::collections::BTreeSet;

use errand_model::event::Event;
use errand_model::{Head, RunId};

use crate::{Admission, Append, Error};

/// State of a run at the moment of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FenceState {
    /// The last lease's number.
    pub(crate) epoch: u64,
    /// The number of the lease in force.
    pub(crate) leased: Option<u64>,
    pub(crate) is_over: bool,
    /// End of its journal.
    pub(crate) head: Head,
}

impl FenceState {
    /// Returns true if these very events were appended already, by a commit whose answer was lost
    /// to a failing disk or connection. The equal hash proves that the whole journal is the same.
    pub(crate) fn is_made(&self, append: &Append) -> bool {
        append.head == self.head && append.fence.epoch == self.epoch && !append.events.is_empty()
    }

    /// Refuses a writer that does not hold the lease in force, or whose events do not continue the
    /// journal.
    pub(crate) fn check_held(&self, append: &Append) -> Result<(), Error> {
        let epoch = append.fence.epoch;
        if epoch == self.epoch && !self.is_over && self.leased != Some(epoch) {
            return Err(self.fenced(append));
        }
        self.check_head(append)
    }

    /// Refuses an append to a run under a lease; otherwise as [`FenceState::check_held`].
    pub(crate) fn check_at_rest(&self, append: &Append) -> Result<(), Error> {
        if self.leased.is_some() {
            return Err(self.fenced(append));
        }
        self.check_head(append)
    }

    /// Checks an append like [`FenceState::check_at_rest`], except for a holder that releases the
    /// lease with these events.
    pub(crate) fn check_released(&self, append: &Append) -> Result<(), Error> {
        let ends_lease = append.release || append.run.status.is_terminal();
        if ends_lease && self.leased.is_some() {
            return self.check_held(append);
        }
        self.check_at_rest(append)
    }

    /// Refuses a superseded writer and events that do not continue the journal, with or without a
    /// lease in force.
    fn check_head(&self, append: &Append) -> Result<(), Error> {
        let run_id = &append.run.id;
        if append.fence.epoch != self.epoch {
            return Err(self.fenced(append));
        }
        if self.is_over {
            return Err(Error::Sealed { run_id: run_id.clone() });
        }
        let expected = append.events.first().map_or(append.head.seq, |first| first.seq - 1);
        if expected != self.head.seq {
            let found = self.head.seq;
            return Err(Error::Conflict { run_id: run_id.clone(), expected, found });
        }
        verify(run_id, self.head, &append.events, append.head)
    }

    fn fenced(&self, append: &Append) -> Error {
        let (run_id, epoch) = (append.run.id.clone(), append.fence.epoch);
        Error::Fenced { run_id, epoch, current: self.epoch }
    }
}

/// Refuses events that do not form a chain: a bug of the caller, found before they are stored.
pub(crate) fn verify(
    run_id: &RunId,
    mut head: Head,
    events: &[Event],
    end: Head,
) -> Result<(), Error> {
    let damaged = |reason: String| Error::Damaged { run_id: run_id.to_string(), reason };
    for event in events {
        if event.run_id != *run_id {
            return Err(damaged("an event of another run".to_owned()));
        }
        head.verify(event).map_err(|broken| damaged(broken.to_string()))?;
    }
    if head == end && !events.is_empty() {
        return Ok(());
    }
    Err(damaged("its events do not lead to the head that was given".to_owned()))
}

/// Refuses runs of one commit of which one would stand in for another.
pub(crate) fn check_keys(admissions: &[Admission]) -> Result<(), Error> {
    let mut keys = BTreeSet::new();
    for Admission { run, .. } in admissions {
        let spec = &run.spec;
        if let Some(key) = &spec.idempotency_key
            && !keys.insert((&spec.namespace, key))
        {
            let (key, run_id) = (key.clone(), run.id.clone());
            return Err(Error::IdempotencyConflict { key, run_id });
        }
    }
    Ok(())
}
