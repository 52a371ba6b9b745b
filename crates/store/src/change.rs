//! Notifications of commits, so that listeners need not poll.

use errand_model::{RunId, Timestamp};
use tokio::sync::broadcast;

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

/// Receiver of changes.
pub type Changes = broadcast::Receiver<StoreChange>;

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const CHANGES_LIMIT: usize = 4_096;

/// Changes to announce after an append.
pub(crate) fn of_append(append: &Append) -> Vec<StoreChange> {
    let run = &append.run;
    let is_over = run.status.is_terminal();
    let mut changes =
        vec![StoreChange::Run { run_id: run.id.clone(), seq: append.head.seq, is_over }];
    if append.requeue.is_some() || (is_over && run.spec.placement.is_some()) {
        changes.push(StoreChange::Queued);
    }
    let now = append.events.last().map(|event| event.at);
    changes.extend(of_documents(&append.documents, now));
    changes
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
