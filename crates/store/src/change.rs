//! Notifications of commits, so that listeners need not poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, broadcast};

use crate::document::{DocumentChange, DocumentKind, DocumentWrite};
use crate::{Admission, Append};

/// A commit, as a hint: it may come twice, late or not at all, so a listener also polls now and
/// then. A receiver that lags has missed some and has to poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// A run's journal grew.
    Run {
        /// Id of the run.
        run_id: RunId,
        /// The number of its last event.
        seq: u64,
        /// True if the run is terminal now.
        is_over: bool,
    },
    /// Runs wait for a worker, or a worker without room for one may have room now.
    Queued,
    /// A request waits for the holder of a run's lease.
    Asked {
        /// Id of the run.
        run_id: RunId,
    },
    /// Turns of coordinators are due: documents of that kind.
    Turn,
    /// A message waits for a run.
    Inbox {
        /// Id of the run.
        run_id: RunId,
    },
    /// Another process committed something unknown.
    Elsewhere,
}

/// Receiver of changes, by this process and by others.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<StoreChange>,
    /// `None`: the store knows changes by this process only.
    elsewhere: Option<Arc<Listeners>>,
    rests: bool,
}

/// Number of receivers that are to hear of changes by other processes.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    count: AtomicUsize,
    /// Woken when the number changes.
    pub(crate) changed: Notify,
}

impl Listeners {
    pub(crate) fn are_there(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    fn join(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

impl Changes {
    /// Receives changes by this process.
    pub(crate) const fn here(receiver: broadcast::Receiver<StoreChange>) -> Self {
        Self { receiver, elsewhere: None, rests: false }
    }

    /// Receives changes by all processes.
    pub(crate) fn everywhere(
        receiver: broadcast::Receiver<StoreChange>,
        listeners: &Arc<Listeners>,
    ) -> Self {
        listeners.join();
        Self { receiver, elsewhere: Some(Arc::clone(listeners)), rests: false }
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`]: changes were missed. [`RecvError::Closed`]: the store is closed.
    pub async fn recv(&mut self) -> Result<StoreChange, RecvError> {
        self.receiver.recv().await
    }

    /// Returns the next change if it is there already.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`]: there is none. As [`Changes::recv`] otherwise.
    pub fn try_recv(&mut self) -> Result<StoreChange, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Does without changes by other processes until [`Changes::listen`]: a process without
    /// listeners is not woken by the server, which costs the server time for each process that is.
    pub fn rest(&mut self) {
        if let (Some(listeners), false) = (&self.elsewhere, self.rests) {
            listeners.leave();
            self.rests = true;
        }
    }

    /// Receives changes by other processes again. Missed ones are announced as
    /// [`StoreChange::Elsewhere`].
    pub fn listen(&mut self) {
        if let (Some(listeners), true) = (&self.elsewhere, self.rests) {
            listeners.join();
            self.rests = false;
        }
    }

    /// Returns true if changes by other processes are missed, since [`Changes::rest`].
    pub const fn rests(&self) -> bool {
        self.rests
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.rest();
    }
}

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const CHANGES_LIMIT: usize = 4_096;

/// Changes to announce after an append.
pub(crate) fn of_append(append: &Append) -> Vec<StoreChange> {
    let run = &append.run;
    let is_over = run.status.is_terminal();
    let mut changes =
        vec![StoreChange::Run { run_id: run.id.clone(), seq: append.head.seq, is_over }];
    if append.requeue.is_some() || (is_over && makes_room_elsewhere(run)) {
        changes.push(StoreChange::Queued);
    }
    let now = append.events.last().map(|event| event.at);
    changes.extend(of_documents(&append.documents, now));
    changes
}

/// Returns true if the end of a run may let workers without a part in it claim another one: a run
/// that waits for a shared bound, or for its turn in the session.
fn makes_room_elsewhere(run: &Run) -> bool {
    let is_bound =
        |placement: &errand_model::placement::Placement| !placement.demands.concurrency.is_empty();
    run.spec.session_turn.is_some() || run.spec.placement.as_ref().is_some_and(is_bound)
}

/// Changes to announce after an admission.
pub(crate) fn of_admission(admission: &Admission) -> Vec<StoreChange> {
    let run = &admission.run;
    let is_over = run.status.is_terminal();
    let seq = admission.head.seq;
    let mut changes = vec![StoreChange::Run { run_id: run.id.clone(), seq, is_over }];
    if admission.queued.is_some() {
        changes.push(StoreChange::Queued);
    }
    let now = admission.events.last().map(|event| event.at);
    changes.extend(of_documents(&admission.documents, now));
    changes
}

/// Changes to announce after an append and the admissions in its commit, without duplicates.
pub(crate) fn of_family(parent: &Append, children: &[Admission]) -> Vec<StoreChange> {
    let mut changes = of_append(parent);
    for change in children.iter().flat_map(of_admission) {
        let is_said = match &change {
            StoreChange::Queued | StoreChange::Turn | StoreChange::Elsewhere => {
                changes.contains(&change)
            }
            StoreChange::Run { .. } | StoreChange::Asked { .. } | StoreChange::Inbox { .. } => {
                false
            }
        };
        if !is_said {
            changes.push(change);
        }
    }
    changes
}

/// Changes to announce after documents were written at `now`; `None`: the time is unknown, and
/// every document with a due time counts as due.
pub(crate) fn of_documents(writes: &[DocumentWrite], now: Option<Timestamp>) -> Vec<StoreChange> {
    let mut changes = Vec::new();
    for DocumentWrite { kind, key, change, .. } in writes {
        let DocumentChange::Put { due_at, .. } = change else { continue };
        if *kind == DocumentKind::Turn {
            let is_due = due_at.is_some_and(|due_at| now.is_none_or(|now| due_at <= now));
            if is_due && !changes.contains(&StoreChange::Turn) {
                changes.push(StoreChange::Turn);
            }
        } else if *kind == DocumentKind::Inbox
            && let Some((run_id, _)) = key.split_once('/')
            && let Ok(run_id) = RunId::try_from(run_id.to_owned())
        {
            changes.push(StoreChange::Inbox { run_id });
        }
    }
    changes
}
