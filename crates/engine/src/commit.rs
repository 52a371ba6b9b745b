//! Commits: how events of a run become durable, with everything that follows from them.
//!
//! The one place that appends to journals. What belongs to a commit, in this order:
//!
//! 1. the terminal snapshot, a file that says how the run ends should this process die before 3;
//! 2. the append: events, steps, the place in the queue, and documents (deadlines, reports to
//!    callback addresses, news for the coordinator), all in one atomic step of the store;
//! 3. the record file, a copy for people; a supervisor may write it up to 20 ms later, once for
//!    several commits (`journal/record.rs`).
//!
//! Starting a helper comes after that and is the caller's. A process may die between any two of
//! these: reconciliation, or a rebuild of the registry from files, continues from there.
//!
//! Deliberately absent: decisions. They are in a [`JournalDraft`] by then.

use errand_model::draft::{Additions, JournalDraft};
use errand_model::run::Run;
use errand_model::{Head, RunId};
use errand_store::files::Sync;
use errand_store::{
    Admission, Append, DocumentWrite, Fence, FinalSnapshot, Holder, Lease, Pending,
};

use crate::reserve::DiskReserve;
use crate::{Engine, deadlines, follow_up, record_file};

/// Events of one run on their way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    /// Run after the events.
    pub(crate) run: Run,
    /// Head of the journal after the events.
    pub(crate) head: Head,
    /// Events. Empty for a commit that only changes documents.
    pub(crate) added: Additions,
    /// Right to write them.
    pub(crate) writer: Writer,
    /// Requests that the events answer: the commit removes them.
    pub(crate) answered: Vec<i64>,
    /// Changes of documents that the caller decided. Consequences of the run and its events are
    /// added by [`Commit::follow_ups`].
    pub(crate) documents: Vec<DocumentWrite>,
    /// Set to store the whole fold even if no event is a transition of the run.
    pub(crate) stores_fold: bool,
}

/// Right to write a journal. `epoch` is the number of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The supervisor of the run, under its lease. It writes the terminal snapshot itself, before
    /// the commit is due.
    Supervisor {
        epoch: u64,
        /// Set if the lease ends with these events, and other processes write the journal
        /// afterwards.
        lets_go: bool,
    },
    /// A process that took the lease of a dead supervisor. The lease ends with these events if the
    /// run then waits for a person or in the queue; otherwise a helper takes it over.
    Reconciler { epoch: u64 },
    /// A reconciler that commits the events of a terminal snapshot, which is kept as it is.
    Recovery { epoch: u64 },
    /// A process that took the lease for this commit alone.
    Borrower { epoch: u64 },
    /// A process that writes the journal of an unheld run; `epoch` was its last lease.
    Unheld { epoch: u64 },
    /// A turn of a coordinator, which is unheld; `epoch` was its last lease.
    ///
    /// No terminal snapshot is written: a turn may be refused because of a document, and the end in
    /// the snapshot would then be wrong. A document that the turn leaves makes another process
    /// write the files instead.
    Turn { epoch: u64 },
}

/// Runs that begin to exist in the commit of another run's events.
#[derive(Clone, Debug)]
pub(crate) enum Admits {
    /// None.
    Nothing,
    /// Runs that wait in the queue, or for a helper.
    All(Vec<Admission>),
    /// A run that this process holds from its first event on.
    Held(Box<Admission>),
}

impl Admits {
    fn admissions(&self) -> &[Admission] {
        match self {
            Self::Nothing => &[],
            Self::All(admissions) => admissions,
            Self::Held(admission) => std::slice::from_ref(admission.as_ref()),
        }
    }
}

impl Writer {
    /// Returns the number of the lease that allows the commit.
    pub(crate) fn epoch(self) -> u64 {
        match self {
            Self::Supervisor { epoch, .. }
            | Self::Reconciler { epoch }
            | Self::Recovery { epoch }
            | Self::Borrower { epoch }
            | Self::Unheld { epoch }
            | Self::Turn { epoch } => epoch,
        }
    }

    /// Returns true if the run is unheld after the commit, which leads to `run`.
    fn lets_go(self, run: &Run) -> bool {
        match self {
            Self::Supervisor { lets_go, .. } => lets_go,
            Self::Reconciler { .. } | Self::Recovery { .. } => {
                run.is_at_rest() || Pending::of(run).is_some()
            }
            Self::Borrower { .. } | Self::Unheld { .. } | Self::Turn { .. } => true,
        }
    }

    /// Returns whether the terminal snapshot is part of the commit.
    fn leaves_snapshot(self) -> bool {
        match self {
            Self::Reconciler { .. } | Self::Borrower { .. } | Self::Unheld { .. } => true,
            Self::Supervisor { .. } | Self::Recovery { .. } | Self::Turn { .. } => false,
        }
    }
}

impl Commit {
    /// Returns the commit of a draft's additions.
    pub(crate) fn of(draft: JournalDraft, writer: Writer) -> Self {
        let (run, head, _, added) = draft.into_parts();
        let (answered, documents) = (Vec::new(), Vec::new());
        Self { run, head, added, writer, answered, documents, stores_fold: false }
    }

    /// Returns true if the run is unheld after this commit.
    pub(crate) fn lets_go(&self) -> bool {
        self.writer.lets_go(&self.run)
    }

    /// Returns the run's place in the queue after this commit; `None`: it is not in the queue.
    pub(crate) fn requeued(&self) -> Option<Pending> {
        self.lets_go().then(|| Pending::of(&self.run)).flatten()
    }

    /// Returns the changes of documents that follow from the run and its events. Long payloads are
    /// put into the blob store for them, so it must not be called under a lock.
    pub(crate) fn follow_ups(&self, engine: &Engine) -> Vec<DocumentWrite> {
        let mut documents = follow_up::documents(engine, &self.run, &self.added.events);
        documents.extend(self.lets_go().then(|| deadlines::watched(&self.run)).flatten());
        documents
    }

    /// Appends once.
    ///
    /// # Errors
    ///
    /// As [`errand_store::Store::append`] and the method of the store for what it `admits`. Nothing
    /// was changed then.
    pub(crate) async fn append(
        &self,
        engine: &Engine,
        follow_ups: &[DocumentWrite],
        admits: &Admits,
    ) -> Result<Option<Lease>, errand_store::Error> {
        let append = self.to_append(follow_ups);
        let store = engine.store();
        let lease = match admits {
            Admits::Nothing if matches!(self.writer, Writer::Unheld { .. }) => {
                store.append_at_rest(append).await.map(|_| None)?
            }
            Admits::Nothing => store.append(append).await.map(|_| None)?,
            Admits::All(admissions) => {
                store.append_and_admit_all(append, admissions.clone()).await.map(|_| None)?
            }
            Admits::Held(admission) => {
                let (admission, holder) = (admission.as_ref().clone(), engine.holder().clone());
                store.append_and_admit(append, admission, holder).await.map(Some)?
            }
        };
        engine.metrics().committed(&self.run, &self.added.events);
        for admission in admits.admissions() {
            engine.metrics().committed(&admission.run, &admission.events);
        }
        Ok(lease)
    }

    fn to_append(&self, follow_ups: &[DocumentWrite]) -> Append {
        Append {
            run: self.run.clone(),
            head: self.head,
            events: self.added.events.clone(),
            steps: self.added.steps.clone(),
            fence: Fence { epoch: self.writer.epoch() },
            snapshot: self.added.is_transition || self.stores_fold,
            release: self.lets_go(),
            requeue: self.requeued(),
            answered: self.answered.clone(),
            documents: self.documents.iter().chain(follow_ups).cloned().collect(),
        }
    }

    /// Updates the record file, if the events changed the record. Must follow the append.
    pub(crate) fn write_record(&self, engine: &Engine) {
        if self.added.is_transition {
            let holder = (!self.lets_go()).then(|| engine.holder());
            record_file::write_quietly(engine, &self.run, self.head, holder);
        }
    }
}

/// Makes a commit durable: snapshot, append, record file. Returns the lease of a run that is
/// [`Admits::Held`].
///
/// # Errors
///
/// As [`Commit::append`]. A terminal snapshot may be there: reconciliation follows it as long as
/// the journal ends where it begins.
pub(crate) async fn commit(
    engine: &Engine,
    commit: &Commit,
    admits: &Admits,
) -> Result<Option<Lease>, errand_store::Error> {
    if commit.writer.leaves_snapshot() && commit.run.status.is_terminal() {
        // Not synced, since many runs may be ended at once, and the registry has the end: a loss of
        // power may lose the snapshot.
        drop(snapshot(&commit.run.id, &commit.added).write(engine.registry(), Sync::No));
    }
    let follow_ups = commit.follow_ups(engine);
    let lease = commit.append(engine, &follow_ups, admits).await?;
    commit.write_record(engine);
    Ok(lease)
}

/// Writes the terminal snapshot of events that are not committed yet; it survives the death of this
/// process, and a loss of power if it is synced. On a full disk, it goes into the space of
/// `reserve`, which is given back in any case.
pub(crate) fn write_snapshot(
    engine: &Engine,
    run_id: &RunId,
    added: &Additions,
    reserve: Option<DiskReserve>,
    sync: Sync,
) {
    let (registry, snapshot) = (engine.registry(), snapshot(run_id, added));
    if snapshot.write(registry, sync).is_err()
        && let Some(reserve) = reserve
    {
        // Without the snapshot the registry alone decides; no recorded event is lost.
        drop(snapshot.write_into(registry, reserve.path()));
    }
}

/// Makes a terminal snapshot survive a loss of power.
pub(crate) fn sync_snapshot(engine: &Engine, run_id: &RunId) {
    // Without it the registry alone decides.
    drop(errand_store::files::sync(&engine.registry().run_final(run_id)));
}

fn snapshot(run_id: &RunId, added: &Additions) -> FinalSnapshot {
    FinalSnapshot {
        run_id: run_id.clone(),
        attempt: added.before.attempt,
        epoch: added.before.epoch,
        head_before: added.before.head,
        events: added.events.clone(),
    }
}

/// Writes the record file of a run that was admitted.
pub(crate) fn write_record_of_new(engine: &Engine, admission: &Admission, holder: Option<&Holder>) {
    record_file::write_quietly(engine, &admission.run, admission.head, holder);
}
