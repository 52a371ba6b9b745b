//! Changes of a batch and their results.

use errand_model::run::CallerCommand;
use errand_model::{RunId, Timestamp};
use tokio::sync::oneshot;

use crate::postgres::lock::{key_lock, run_lock, session_lock};
use crate::postgres::write::document_locks;
use crate::{Admission, Admitted, Append, Appended, Error, Holder, Lease, StoreChange};

/// Channel for the answer to a caller.
type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A change that waits for a batch.
pub(in crate::postgres) enum Gathered {
    /// [`crate::Store::admit`]; with a holder [`crate::Store::admit_held`].
    Admit {
        admission: Box<Admission>,
        holder: Option<Holder>,
        reply: Reply<(Admitted, Option<Lease>)>,
    },
    /// [`crate::Store::append`].
    Append { append: Box<Append>, reply: Reply<Appended> },
    /// [`crate::Store::append_at_rest`].
    AppendAtRest { append: Box<Append>, reply: Reply<Appended> },
    /// [`crate::Store::append_and_admit`].
    AppendAndAdmit {
        parent: Box<Append>,
        child: Box<Admission>,
        holder: Holder,
        reply: Reply<Lease>,
    },
    /// [`crate::Store::append_and_admit_all`].
    AppendAndAdmitAll { parent: Box<Append>, children: Vec<Admission>, reply: Reply<Appended> },
    /// [`crate::Store::take`].
    Take {
        run_id: RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
        reply: Reply<Lease>,
    },
    /// [`crate::Store::give_back`].
    GiveBack { run_id: RunId, epoch: u64, reply: Reply<()> },
    /// [`crate::Store::request`].
    Ask { run_id: RunId, command: Box<CallerCommand>, now: Timestamp, reply: Reply<i64> },
}

/// Result of a change that was made.
#[derive(Debug)]
pub(in crate::postgres) enum Done {
    Admitted(Admitted, Option<Lease>),
    Appended(Appended),
    Leased(Lease),
    GivenBack,
    Asked(i64),
}

/// Result of a change.
#[derive(Debug)]
pub(in crate::postgres) struct Outcome {
    pub(in crate::postgres) done: Result<Done, Error>,
    /// Changes to announce.
    pub(in crate::postgres) changes: Vec<StoreChange>,
}

impl Gathered {
    /// Returns the names of the locks that the change needs.
    pub(in crate::postgres) fn locks(&self) -> Vec<String> {
        match self {
            Self::Admit { admission, .. } => admission_locks(admission),
            Self::Append { append, .. } | Self::AppendAtRest { append, .. } => append_locks(append),
            Self::AppendAndAdmit { parent, child, .. } => {
                let mut locks = append_locks(parent);
                locks.extend(admission_locks(child));
                locks
            }
            Self::AppendAndAdmitAll { parent, children, .. } => {
                let mut locks = append_locks(parent);
                locks.extend(children.iter().flat_map(admission_locks));
                locks
            }
            Self::Take { run_id, .. }
            | Self::GiveBack { run_id, .. }
            | Self::Ask { run_id, .. } => vec![run_lock(run_id)],
        }
    }

    /// Sends the result to the caller.
    pub(in crate::postgres) fn answer(self, done: Result<Done, Error>) {
        match self {
            Self::Admit { reply, .. } => tell(reply, done, |done| match done {
                Done::Admitted(admitted, lease) => Some((admitted, lease)),
                Done::Appended(_) | Done::Leased(_) | Done::GivenBack | Done::Asked(_) => None,
            }),
            Self::Append { reply, .. }
            | Self::AppendAtRest { reply, .. }
            | Self::AppendAndAdmitAll { reply, .. } => tell(reply, done, |done| match done {
                Done::Appended(appended) => Some(appended),
                Done::Admitted(..) | Done::Leased(_) | Done::GivenBack | Done::Asked(_) => None,
            }),
            Self::AppendAndAdmit { reply, .. } | Self::Take { reply, .. } => {
                tell(reply, done, |done| match done {
                    Done::Leased(lease) => Some(lease),
                    Done::Admitted(..) | Done::Appended(_) | Done::GivenBack | Done::Asked(_) => {
                        None
                    }
                });
            }
            Self::GiveBack { reply, .. } => tell(reply, done, |_| Some(())),
            Self::Ask { reply, .. } => tell(reply, done, |done| match done {
                Done::Asked(id) => Some(id),
                Done::Admitted(..) | Done::Appended(_) | Done::Leased(_) | Done::GivenBack => None,
            }),
        }
    }
}

fn tell<T>(reply: Reply<T>, done: Result<Done, Error>, of: impl Fn(Done) -> Option<T>) {
    let answer = done.and_then(|done| of(done).ok_or(Error::WriterGone));
    // The caller may have gone.
    drop(reply.send(answer));
}

fn admission_locks(admission: &Admission) -> Vec<String> {
    let spec = &admission.run.spec;
    let mut locks = vec![run_lock(&admission.run.id)];
    if let Some(key) = &spec.idempotency_key {
        locks.push(key_lock(spec.namespace.as_deref(), key));
    }
    if admission.dedup {
        locks.push(format!("work {}", spec.fingerprint.hex()));
    }
    if let (Some(_), Some(session_id)) = (spec.session_turn, &spec.session_id) {
        locks.push(session_lock(session_id));
    }
    if let (true, Some(origin)) = (admission.redrives, &spec.origin_run_id) {
        locks.push(run_lock(origin));
    }
    locks.extend(sessions_of(&admission.events));
    locks.extend(document_locks(&admission.documents));
    locks
}

fn append_locks(append: &Append) -> Vec<String> {
    let spec = &append.run.spec;
    let mut locks = vec![run_lock(&append.run.id)];
    let begins = append.events.iter().any(|event| event.kind == "attempt.started");
    if let (true, Some(_), Some(session_id)) = (begins, spec.session_turn, &spec.session_id) {
        locks.push(session_lock(session_id));
    }
    locks.extend(sessions_of(&append.events));
    locks.extend(document_locks(&append.documents));
    locks
}

/// Returns the locks of the sessions that events change.
fn sessions_of(events: &[errand_model::event::Event]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct About {
        session_id: String,
    }
    let about = events.iter().filter(|event| event.kind.starts_with("session."));
    about
        .filter_map(|event| serde_json::from_str::<About>(&event.data).ok())
        .map(|about| session_lock(&about.session_id))
        .collect()
}
