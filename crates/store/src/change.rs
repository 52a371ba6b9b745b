//! Hearing that something was committed, without asking again and again.

use errand_model::{RunId, Timestamp};
use tokio::sync::broadcast;

use crate::document::{DocumentChange, DocumentKind, DocumentWrite};
use crate::{Admission, Append};

/// What was committed. Hints, not records: one may come twice, late or not at all, so whoever
/// listens also looks by itself now and then. A receiver that lags has missed some: it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run's journal grew.
    Run {
        /// Which.
        run_id: RunId,
        /// The number of its last event.
        seq: u64,
        /// Whether the run is over with it.
        is_over: bool,
    },
    /// Runs wait for a worker, or a worker that could not take one may now.
    Queued,
    /// Something is asked of whoever holds a run's lease.
    Asked {
        /// Which run.
        run_id: RunId,
    },
    /// Coordinators are to hear something: documents of that kind are due.
    Turn,
    /// A message waits for a run.
    Inbox {
        /// Which run.
        run_id: RunId,
    },
    /// Another process committed something; what, is not known.
    Elsewhere,
}

/// Where changes are heard.
pub type Changes = broadcast::Receiver<Change>;

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const CHANGES_LIMIT: usize = 4_096;

/// What others may want to hear of an append.
pub(crate) fn of_append(append: &Append) -> Vec<Change> {
    let run = &append.run;
    let is_over = run.status.is_terminal();
    let mut changes = vec![Change::Run { run_id: run.id.clone(), seq: append.head.seq, is_over }];
    if append.requeue.is_some() || (is_over && run.spec.placement.is_some()) {
        changes.push(Change::Queued);
    }
    let now = append.events.last().map(|event| event.at);
    changes.extend(of_documents(&append.documents, now));
    changes
}

/// What others may want to hear of an admission.
pub(crate) fn of_admission(admission: &Admission) -> Vec<Change> {
    let run = &admission.run;
    let is_over = run.status.is_terminal();
    let seq = admission.head.seq;
    let mut changes = vec![Change::Run { run_id: run.id.clone(), seq, is_over }];
    if admission.queued.is_some() {
        changes.push(Change::Queued);
    }
    let now = admission.events.last().map(|event| event.at);
    changes.extend(of_documents(&admission.documents, now));
    changes
}

/// What others may want to hear of an append and the runs that it admits: each thing once.
pub(crate) fn of_family(parent: &Append, children: &[Admission]) -> Vec<Change> {
    let mut changes = of_append(parent);
    for change in children.iter().flat_map(of_admission) {
        let is_said = match &change {
            Change::Queued | Change::Turn | Change::Elsewhere => changes.contains(&change),
            Change::Run { .. } | Change::Asked { .. } | Change::Inbox { .. } => false,
        };
        if !is_said {
            changes.push(change);
        }
    }
    changes
}

/// What others may want to hear of documents that were written at `now`; `None`: that is not known,
/// and what is due some time may be due now.
pub(crate) fn of_documents(writes: &[DocumentWrite], now: Option<Timestamp>) -> Vec<Change> {
    let mut changes = Vec::new();
    for DocumentWrite { kind, key, change, .. } in writes {
        let DocumentChange::Put { due_at, .. } = change else { continue };
        if *kind == DocumentKind::Turn {
            let is_due = due_at.is_some_and(|due_at| now.is_none_or(|now| due_at <= now));
            if is_due && !changes.contains(&Change::Turn) {
                changes.push(Change::Turn);
            }
        } else if *kind == DocumentKind::Inbox
            && let Some((run_id, _)) = key.split_once('/')
            && let Ok(run_id) = RunId::try_from(run_id.to_owned())
        {
            changes.push(Change::Inbox { run_id });
        }
    }
    changes
}
