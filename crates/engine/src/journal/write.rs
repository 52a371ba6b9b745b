//! The writer of a journal: commits of what was decided, one after another.

use std::sync::Arc;
use std::time::Duration;

use errand_store::Lease;

use super::{Error, Journal};
use crate::commit::{Admits, Commit};
use crate::journal::JournalProblem;

/// Time after which a run is given up to reconciliation because its registry cannot be written:
/// longer than a restart of a disk's owner, shorter than anyone's patience.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Time for which a full disk may refuse commits before the attempt ends: its agent works on
/// meanwhile, and nothing of that is recorded. Well below the length of a lease, which is not
/// renewed then either.
const FULL_DISK_MAY_LAST: Duration = Duration::from_secs(5);
/// Time for which the start of a step may wait for a commit that is made anyway, such as the one of
/// its completion: long enough for a quick step, too short to be missed in a record.
const START_MAY_WAIT: Duration = Duration::from_millis(5);
/// Time between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Time for which a commit is tried again that fails in a way that may pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    full_disk: Duration,
    other: Duration,
}

impl Patience {
    /// Patience of an attempt that may go on.
    pub(super) const USUAL: Self = Self { full_disk: FULL_DISK_MAY_LAST, other: GIVE_UP_AFTER };

    /// Returns the usual patience with another limit for a full disk.
    pub(super) const fn of_full_disk(full_disk: Duration) -> Self {
        Self { full_disk, ..Self::USUAL }
    }

    /// Returns whether a commit that was tried for `tried_for` is tried again.
    fn lasts(self, error: &errand_store::Error, tried_for: Duration) -> bool {
        let is_full = matches!(error, errand_store::Error::Full { .. });
        error.may_pass() && tried_for < if is_full { self.full_disk } else { self.other }
    }
}

impl Journal {
    /// Writes what is recorded, for as long as the journal is open. The supervisor runs it as a
    /// task and aborts it at the end.
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
                    // A wake-up only shortens the wait.
                    drop(tokio::time::timeout(START_MAY_WAIT, woken).await);
                }
                () = self.output_due() => {}
                () = self.record_due() => continue,
                () = self.reserve_due() => continue,
            }
            let _order = self.shared.writing.lock().await;
            while let Some(commit) = self.next_commit() {
                let written = self.write_one(commit, Patience::USUAL, &Admits::Nothing).await;
                if let Err(error) = written {
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
        JournalProblem::Lost { source: error }.into()
    }

    fn next_commit(&self) -> Option<Commit> {
        let now = self.shared.engine.now();
        let mut state = self.state();
        state.has_events().then(|| state.take_commit(self.shared.epoch, now))
    }

    /// Writes one commit, again and again while the registry may come back. A commit that fails is
    /// kept for the end of the attempt.
    pub(super) async fn write_one(
        &self,
        commit: Commit,
        patience: Patience,
        admits: &Admits,
    ) -> Result<Option<Lease>, Error> {
        let engine = &self.shared.engine;
        let began_at = tokio::time::Instant::now();
        let follow_ups = commit.follow_ups(engine);
        let lease = loop {
            if self.shared.term.is_over() {
                return Err(self.lease_over());
            }
            match commit.append(engine, &follow_ups, admits).await {
                Ok(lease) => break lease,
                Err(error) if !patience.lasts(&error, began_at.elapsed()) => {
                    self.state().unwritten = Some(commit);
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(TRY_AGAIN_AFTER).await,
            }
        };
        self.shared.durable.send_modify(|durable| durable.seq = commit.head.seq);
        self.note_committed(&commit);
        Ok(lease)
    }

    /// Returns the error of a journal without a lease: another process may hold the run by now.
    pub(super) fn lease_over(&self) -> Error {
        JournalProblem::LeaseOver { run_id: self.shared.run_id.clone() }.into()
    }
}
