//! Storage of runs: the `Store` trait.

use std::sync::Arc;

use async_trait::async_trait;
use errand_model::event::Event;
use errand_model::price::Day;
use errand_model::run::CallerCommand;
use errand_model::step::Step;
use errand_model::{Digest, RunId, Timestamp};

use crate::dead_letter::{DeadLetterFilter, Discard, StoredDeadLetter};
use crate::question::{Questions, StoredQuestion};
use crate::row::{
    Admission, Admitted, Append, Appended, Claim, Evidence, Filter, Holder, Lease, Page,
    QueuedCount, Renewed, Stored, StoredBomGeneration, StoredRequest, UnfinishedCounts,
};
use crate::usage::{DayReservation, DayReserved, DayStanding, UsageFilter, UsageTotals};
use crate::{
    BlobPlaceRecord, ChangeObserver, Changes, DocumentKind, DocumentStore, Error, NameStore,
    Namespaces, SessionStore, SharedBlobs, SharedLogs,
};

/// A registry of runs. Each method is one atomic step: after an `Ok` the change is durable, after
/// an `Err` nothing is changed. A loss of power may take claims, leases and other changes that only
/// processes of the same machine rely on.
#[async_trait]
pub trait Store: SessionStore + DocumentStore + NameStore + Send + Sync + std::fmt::Debug {
    /// Sets the observer of the changes that this process makes from now on. A store keeps the
    /// first one.
    fn observe(&self, observer: Arc<dyn ChangeObserver>);

    /// Admits a run, unless an existing run stands in for it: a run with the same idempotency key,
    /// or (if `dedup`) an unfinished or completed run with the same fingerprint.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyConflict`] if the key was used for something else (another fingerprint);
    /// if it redrives, [`Error::NoDeadLetter`] or [`Error::Settled`] for its origin;
    /// [`Error::DocumentChanged`].
    async fn admit(&self, admission: Admission) -> Result<Admitted, Error>;

    /// Admits a run and takes its lease at once for `holder`, which executes the run itself.
    ///
    /// # Errors
    ///
    /// As [`Store::admit`].
    async fn admit_held(
        &self,
        admission: Admission,
        holder: Holder,
    ) -> Result<(Admitted, Option<Lease>), Error>;

    /// Appends events to one run's journal and updates all projections of them. Events that the
    /// same lease has appended already are not appended again; the answer is the same.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if the lease is not the one in force, [`Error::Conflict`] if the journal
    /// does not end where the events begin, [`Error::Sealed`] if the run is terminal,
    /// [`Error::NoRun`].
    async fn append(&self, append: Append) -> Result<Appended, Error>;

    /// Appends to the journal of a run under no lease: a run that waits for a person without a
    /// process. `append.fence` has the number of the run's last lease; no lease is taken, and the
    /// next holder reads the events. Otherwise as [`Store::append`].
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if the run is under a lease, or was since `append.fence`; as
    /// [`Store::append`].
    async fn append_at_rest(&self, append: Append) -> Result<Appended, Error>;

    /// Appends to a parent's journal and admits a child that `holder` executes itself, in one
    /// commit: both happen or neither. Returns the child's lease.
    ///
    /// # Errors
    ///
    /// As [`Store::append`] for the parent.
    async fn append_and_admit(
        &self,
        parent: Append,
        child: Admission,
        holder: Holder,
    ) -> Result<Lease, Error>;

    /// Appends to a parent's journal and admits all children, in one commit: all of it happens or
    /// nothing. The parent is under no lease, as for [`Store::append_at_rest`], or its holder
    /// releases the lease with these events. Children that are `queued` wait in the queue. Events
    /// that were appended already, by the same lease, are not appended again, and their children
    /// are there: the answer is the same.
    ///
    /// # Errors
    ///
    /// As [`Store::append_at_rest`] for the parent: [`Error::Conflict`] if its journal has grown,
    /// [`Error::DocumentChanged`] for documents of any of them; [`Error::IdempotencyConflict`] for
    /// a child for which another run would stand in.
    async fn append_and_admit_all(
        &self,
        parent: Append,
        children: Vec<Admission>,
    ) -> Result<Appended, Error>;

    /// Claims up to `limit` queued runs that are ready and that the worker can take, as
    /// [`errand_model::placement::choose`] chooses. A run that would exceed a shared bound stays in
    /// the queue, also if several workers claim at the same time.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn claim(&self, claim: Claim) -> Result<Vec<(Stored, Lease)>, Error>;

    /// Takes the lease of one run, if its last lease still has the number `seen_epoch` that the
    /// caller saw (0: it never had one). The caller has to know that the previous holder is dead.
    /// The new lease ends at `expires_at`; `None`: when its holder dies.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if another holder took it since, [`Error::Sealed`] if the run is terminal,
    /// [`Error::NoRun`].
    async fn take(
        &self,
        run_id: &RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
    ) -> Result<Lease, Error>;

    /// Ends a lease without an event: its holder found nothing to do. A lease that is no longer in
    /// force is left alone.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn give_back(&self, run_id: &RunId, epoch: u64) -> Result<(), Error>;

    /// Makes leases last until `until`. Returns the runs whose lease is no longer in force and the
    /// runs with open requests.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn renew(&self, leases: Vec<(RunId, u64)>, until: Timestamp) -> Result<Renewed, Error>;

    /// Lists runs whose lease ended before `now` and was not taken since, the longest over first,
    /// at most `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Returns true if a lease ended before `now`, or a document of these kinds is due: one query, for
    /// processes that look often and mostly find nothing.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn has_due(&self, kinds: &[DocumentKind], now: Timestamp) -> Result<bool, Error>;

    /// Lists live runs that are neither in the queue nor under a lease that expires, except paused
    /// runs under no lease: a process of their own executes them, or should. The oldest first, at
    /// most `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn unqueued(&self, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Counts the runs in the queue by namespace. Empty for a store that does not count them.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn waiting(&self, now: Timestamp) -> Result<Vec<QueuedCount>, Error> {
        let _ = now;
        Ok(Vec::new())
    }

    /// Counts the runs that are not over, and their open questions.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn standing(&self) -> Result<UnfinishedCounts, Error>;

    /// Subscribes to commits from now on, by this process and, as far as they can be known, by
    /// others.
    fn changes(&self) -> Changes;

    /// Loads one run by folding its whole journal; `None` if there is no such run.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if its journal does not fold.
    async fn load(&self, run_id: &RunId) -> Result<Option<Stored>, Error>;

    /// Lists events after `after` (0: from the first), in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<Vec<Event>, Error>;

    /// Lists runs, newest first. Damaged runs are left out and reported in the second part.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn list(&self, filter: &Filter, page: &Page) -> Result<(Vec<Stored>, Vec<Error>), Error>;

    /// Finds the ids of the runs that `part` can mean, newest first, at most `limit`: the run with
    /// that id; or else the runs of that name; or else runs whose id contains it.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn find(&self, part: &str, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Reads the rows that describe a run beside its journal, valid or not; `None` if there is no
    /// such run.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn evidence(&self, run_id: &RunId) -> Result<Option<Evidence>, Error>;

    /// Lists the ids of all runs, damaged ones included, oldest first: those after `after`, at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn run_ids(&self, after: Option<&RunId>, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Lists events as stored, valid or not, by their numbers, at most `limit`: those after
    /// `after`; `None`: from the first on, events with invalid numbers included. Invalid values are
    /// read as empty ones: a number below 0 as 0, a hash of another length as zeros.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn scan(
        &self,
        run_id: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error>;

    /// Imports a terminal run of another registry exactly as it was there. A run that is here
    /// already with the same journal stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::OtherJournal`] if a run of that id is here with another journal; [`Error::Live`] if
    /// the run is not over; [`Error::Damaged`] if its journal does not hold.
    async fn import(&self, run: Admission) -> Result<Admitted, Error>;

    /// Lists all steps of a run, by key.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn steps(&self, run_id: &RunId) -> Result<Vec<Step>, Error>;

    /// Stores a request to the holder of the run's lease. Returns the request's id.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] if the run is terminal, [`Error::NoRun`].
    async fn request(
        &self,
        run_id: &RunId,
        command: CallerCommand,
        now: Timestamp,
    ) -> Result<i64, Error>;

    /// Lists the unanswered requests of a run, oldest first.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn requests(&self, run_id: &RunId) -> Result<Vec<StoredRequest>, Error>;

    /// Returns those of the runs that have unanswered requests, by id.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn asked(&self, run_ids: &[RunId]) -> Result<Vec<RunId>, Error>;

    /// Lists questions of agents to people, in all runs: oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if an event of a question cannot be read.
    async fn questions(
        &self,
        which: Questions,
        namespaces: &Namespaces,
        limit: u32,
    ) -> Result<Vec<StoredQuestion>, Error>;

    /// Returns the generation of an agent's inventory with that digest: the latest one if it has
    /// the digest, else a new one. The document is in the blob store already.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn put_bom(
        &self,
        agent: &str,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<StoredBomGeneration, Error>;

    /// Lists the generations of an agent's inventory, the latest first, at most `limit`.
    /// Generations that runs have pinned are also in their journals, from which a lost registry is
    /// rebuilt.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn boms(&self, agent: &str, limit: u32) -> Result<Vec<StoredBomGeneration>, Error>;

    /// Reserves a part of an agent's daily limit for a call of one run, if the use and the
    /// reservations of all runs of that agent leave room for it: in one step, so that concurrent
    /// runs cannot exceed the limit together. The event that reports the call releases the
    /// reservation and counts the use, in its own commit; the end of the attempt and another lease
    /// release it too.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if the lease is not the one in force, [`Error::NoRun`].
    async fn reserve(&self, reservation: DayReservation) -> Result<DayReserved, Error>;

    /// Releases reservations for calls of one run that will not be made. Unknown ids change
    /// nothing.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn release(&self, run_id: &RunId, ids: Vec<String>) -> Result<(), Error>;

    /// Returns the use and the reservations of an agent's day.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn day_standing(&self, agent: &str, day: Day) -> Result<DayStanding, Error>;

    /// Sums the use of calls, in rows and in total. Replays that execute nothing are not counted.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn usage(&self, query: &UsageFilter) -> Result<UsageTotals, Error>;

    /// Lists dead letters, newest run first.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<Vec<StoredDeadLetter>, Error>;

    /// Marks a dead letter as not to be redriven. Its run is kept.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or [`Error::Settled`] if it was redriven or discarded already.
    async fn discard(&self, discard: Discard) -> Result<(), Error>;

    /// Removes a run with everything that belongs to it: the only way in which events are deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Live`] if the run is not terminal and `even_live` does not allow that;
    /// [`Error::NoRun`].
    async fn remove(&self, run_id: &RunId, even_live: Removal) -> Result<(), Error>;

    /// Lists runs that ended before a moment, unsettled dead letters excepted: by id, which is
    /// oldest first, those after `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn ended(
        &self,
        before: Timestamp,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>, Error>;

    /// Removes terminal runs with everything that belongs to them, in one commit. Live runs among
    /// the ids are left alone. Returns the number of removed runs.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn remove_ended(&self, run_ids: Vec<RunId>) -> Result<u64, Error>;

    /// Returns the place in which the blobs are kept, as recorded; `None`: the registry itself.
    /// Blocks its caller.
    ///
    /// # Errors
    ///
    /// If the record cannot be read.
    fn blob_place(&self) -> Result<Option<BlobPlaceRecord>, Error>;

    /// Records the place in which the blobs are kept from now on, unless one is recorded. Returns the
    /// record in force. Blocks its caller.
    ///
    /// # Errors
    ///
    /// If the record cannot be written.
    fn record_blob_place(&self, record: &BlobPlaceRecord) -> Result<BlobPlaceRecord, Error>;

    /// Sets the blobs in the recorded place for this process. Only the first call counts.
    fn keep_blobs_in(&self, place: Arc<dyn SharedBlobs>);

    /// Blobs outside of the registry's folder: in a place of their own, or in the database that all
    /// machines reach; `None`: blobs are in the registry's folder alone.
    fn shared_blobs(&self) -> Option<Arc<dyn SharedBlobs>>;

    /// Logs that all machines reach; `None`: logs are in the registry's folder.
    fn shared_logs(&self) -> Option<Arc<dyn SharedLogs>>;

    /// Waits until all acknowledged events are also in the files beside the registry and those are
    /// synced.
    ///
    /// # Errors
    ///
    /// If the files cannot be written; the registry itself is complete nevertheless.
    async fn sync_files(&self, run_id: &RunId) -> Result<(), Error>;
}

/// Status that a run must have to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A terminal status only.
    Terminal,
    /// Any status: the holder of a live run is known to be dead.
    Any,
}
