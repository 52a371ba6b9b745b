//! The seam between what is decided and where it is kept.

use std::sync::Arc;

use async_trait::async_trait;
use errand_model::event::Event;
use errand_model::price::Day;
use errand_model::step::Step;
use errand_model::{Digest, RunId, Timestamp};

use crate::dead_letter::{DeadLetter, DeadLetterFilter, Discard};
use crate::question::{Asked, Questions};
use crate::row::{
    Admission, Admitted, Append, Appended, BomGeneration, Claim, Evidence, Filter, Holder, Lease,
    Page, Renewed, Request, RequestKind, Standing, Stored, Waiting,
};
use crate::usage::{DayReservation, DayReserved, DayStanding, Usage, UsageQuery};
use crate::{
    Changes, DocumentStore, Error, NameStore, Namespaces, SessionStore, SharedBlobs, SharedLogs,
};

/// A registry of runs. Each method is one atomic step: after an `Ok` what it says is durable, after
/// an `Err` nothing of it happened.
#[async_trait]
pub trait Store: SessionStore + DocumentStore + NameStore + Send + Sync + std::fmt::Debug {
    /// Admits a run. One with the same idempotency key, or (if `dedup`) the same fingerprint among
    /// unfinished and completed runs, stands in for it.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyConflict`] if the key was used for something else (another fingerprint);
    /// if it redrives, [`Error::NoDeadLetter`] or [`Error::Settled`] for its origin;
    /// [`Error::DocumentChanged`].
    async fn admit(&self, admission: Admission) -> Result<Admitted, Error>;

    /// Admits a run and takes its lease at once for `holder`, which runs it itself.
    ///
    /// # Errors
    ///
    /// As [`Store::admit`].
    async fn admit_held(
        &self,
        admission: Admission,
        holder: Holder,
    ) -> Result<(Admitted, Option<Lease>), Error>;

    /// Appends events to one run's journal, with everything that follows from them. Events that were
    /// appended already, by the same lease, are not appended again: the answer is the same.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if the lease is not the one in force, [`Error::Conflict`] if the journal
    /// does not end where the events begin, [`Error::Sealed`] if the run is terminal,
    /// [`Error::NoRun`].
    async fn append(&self, append: Append) -> Result<Appended, Error>;

    /// Appends to the journal of a run that nobody holds: one that waits for a person without a
    /// process. `append.fence` has the number of the run's last lease; no lease is taken, and whoever
    /// takes the next one finds the events. Otherwise as [`Store::append`].
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if somebody holds the run, or held it since; as [`Store::append`].
    async fn append_at_rest(&self, append: Append) -> Result<Appended, Error>;

    /// Appends to a parent's journal and admits a child that `holder` runs itself, in one commit:
    /// both happen or neither. Returns the child's lease.
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
    /// nothing. Nobody holds the parent, as for [`Store::append_at_rest`]; or whoever holds it lets
    /// go of its lease with these events. Children that are `queued` wait in the queue. Events that
    /// were appended already, by the same lease, are not appended again, and their children are
    /// there: the answer is the same.
    ///
    /// # Errors
    ///
    /// As [`Store::append_at_rest`] for the parent: [`Error::Conflict`] where its journal moved on,
    /// [`Error::DocumentChanged`] for documents of any of them; [`Error::IdempotencyConflict`] for a
    /// child for which another run would stand in.
    async fn append_and_admit_all(
        &self,
        parent: Append,
        children: Vec<Admission>,
    ) -> Result<Appended, Error>;

    /// Claims up to `limit` queued runs that are ready and that the worker can take, as
    /// [`errand_model::placement::choose`] chooses. What a claim would go beyond a shared bound with
    /// is left in the queue, also if several workers claim at the same time.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn claim(&self, claim: Claim) -> Result<Vec<(Stored, Lease)>, Error>;

    /// Takes the lease of one run, if its last lease still has the number `seen_epoch` that the
    /// caller saw (0: it never had one). Whether its holder is dead is the caller's to know. The new
    /// lease ends at `expires_at`; `None`: when its holder is dead.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if another took it since, [`Error::Sealed`] if the run is terminal,
    /// [`Error::NoRun`].
    async fn take(
        &self,
        run_id: &RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
    ) -> Result<Lease, Error>;

    /// Ends a lease without writing anything: whoever took it found nothing to do. One that is not in
    /// force any more is left alone.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn give_back(&self, run_id: &RunId, epoch: u64) -> Result<(), Error>;

    /// Makes leases last until `until`. Says which are not in force any more, and of which something
    /// is asked.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn renew(&self, leases: Vec<(RunId, u64)>, until: Timestamp) -> Result<Renewed, Error>;

    /// Runs whose lease ended before `now` and was not taken by anyone since, the longest over
    /// first, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Live runs that wait in no queue and are under no lease that ends by itself, but for those that
    /// are paused and under none at all: a process of their own carries them on, or should. The
    /// oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn unqueued(&self, limit: u32) -> Result<Vec<RunId>, Error>;

    /// How many runs wait in the queue, by namespace: as far as `self` counts them, else nothing.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn waiting(&self, now: Timestamp) -> Result<Vec<Waiting>, Error> {
        let _ = now;
        Ok(Vec::new())
    }

    /// How many runs are not over, and how many questions of theirs are open.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn standing(&self) -> Result<Standing, Error>;

    /// Hears of what is committed from now on, by this process and, as far as that can be known, by
    /// others.
    fn changes(&self) -> Changes;

    /// One run, its whole journal folded; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if its journal does not fold.
    async fn load(&self, run_id: &RunId) -> Result<Option<Stored>, Error>;

    /// Events after `after` (0: from the first), in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<Vec<Event>, Error>;

    /// Runs, newest first. A damaged one is left out and reported as the second part.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn list(&self, filter: &Filter, page: &Page) -> Result<(Vec<Stored>, Vec<Error>), Error>;

    /// The ids of the runs that `part` can mean, newest first, at most `limit`: the run whose whole
    /// id it is; or else the runs whose name it is; or else those whose id contains it.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn find(&self, part: &str, limit: u32) -> Result<Vec<RunId>, Error>;

    /// What is kept of a run beside its journal, good or bad; `None` if there is no such run.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn evidence(&self, run_id: &RunId) -> Result<Option<Evidence>, Error>;

    /// The ids of all runs, oldest first, also of damaged ones: those after `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn run_ids(&self, after: Option<&RunId>, limit: u32) -> Result<Vec<RunId>, Error>;

    /// Events as they stand, good or bad, by their numbers, at most `limit`: those after `after`;
    /// `None`: from the first on, also such as have a number that no event has. What no event can
    /// have reads as nothing: a number below 0 as 0, a hash of another length as zeros.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn scan(
        &self,
        run_id: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error>;

    /// Takes in a run that was kept elsewhere and is over, exactly as it was there. One that is here
    /// already, with the same journal, stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::OtherJournal`] if a run of that id is here with another journal; [`Error::Live`] if
    /// the run is not over; [`Error::Damaged`] if its journal does not hold.
    async fn import(&self, run: Admission) -> Result<Admitted, Error>;

    /// All steps of a run, by key.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn steps(&self, run_id: &RunId) -> Result<Vec<Step>, Error>;

    /// Leaves a request for whoever holds the run's lease. Returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] if the run is terminal, [`Error::NoRun`].
    async fn request(
        &self,
        run_id: &RunId,
        kind: RequestKind,
        now: Timestamp,
    ) -> Result<i64, Error>;

    /// The requests of a run that wait for an answer, oldest first.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn requests(&self, run_id: &RunId) -> Result<Vec<Request>, Error>;

    /// What agents asked people, in all runs: oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if an event of them cannot be read.
    async fn questions(
        &self,
        which: Questions,
        namespaces: &Namespaces,
        limit: u32,
    ) -> Result<Vec<Asked>, Error>;

    /// The generation of an agent's inventory with that digest: the latest one if it has it, else a
    /// new one. The document is in the blob store already.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn put_bom(
        &self,
        agent: &str,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<BomGeneration, Error>;

    /// The generations of an agent's inventory, the latest first, at most `limit`. Those that runs
    /// have pinned are also in their journals, from which a lost registry is made anew.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn boms(&self, agent: &str, limit: u32) -> Result<Vec<BomGeneration>, Error>;

    /// Promises a part of an agent's day to a call of one run, if what all runs of that agent used
    /// and were promised leaves room for it: in one step, so that runs which ask at the same time
    /// cannot pass the limit together. The event that reports the call takes the promise back and
    /// counts what was used, in its own commit; so does the end of the attempt, or another lease.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if the lease is not the one in force, [`Error::NoRun`].
    async fn reserve(&self, reservation: DayReservation) -> Result<DayReserved, Error>;

    /// Takes back what was promised to calls of one run that will not be made. Promises that there
    /// are not change nothing.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn release(&self, run_id: &RunId, ids: Vec<String>) -> Result<(), Error>;

    /// How an agent's day stands.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn day_standing(&self, agent: &str, day: Day) -> Result<DayStanding, Error>;

    /// What calls used, in rows and in total. Replays that execute nothing are not counted.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn usage(&self, query: &UsageQuery) -> Result<Usage, Error>;

    /// Dead letters, newest run first.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<Vec<DeadLetter>, Error>;

    /// Marks a dead letter as one that nobody wants done again. Its run is kept.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or [`Error::Settled`] if it was redriven or discarded already.
    async fn discard(&self, discard: Discard) -> Result<(), Error>;

    /// Forgets a run and everything that hangs on it: the one way in which events are deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Live`] if the run is not terminal and `even_live` was not said; [`Error::NoRun`].
    async fn remove(&self, run_id: &RunId, even_live: Removal) -> Result<(), Error>;

    /// Runs that ended before a moment, but for dead letters that nobody settled: by id, which is
    /// oldest first, those after `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn ended(
        &self,
        before: Timestamp,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>, Error>;

    /// Forgets runs that are over, and everything that hangs on them, in one commit. Others of those
    /// ids are left alone. Returns how many were forgotten.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn remove_ended(&self, run_ids: Vec<RunId>) -> Result<u64, Error>;

    /// Blobs that other machines reach; `None`: the registry's folder is the place for them.
    fn shared_blobs(&self) -> Option<Arc<dyn SharedBlobs>>;

    /// Logs that other machines reach; `None`: the registry's folder is the place for them.
    fn shared_logs(&self) -> Option<Arc<dyn SharedLogs>>;

    /// Waits until everything that was acknowledged is also in the files beside the registry, and
    /// those are synced.
    ///
    /// # Errors
    ///
    /// If the files cannot be written; the registry itself has everything all the same.
    async fn sync_files(&self, run_id: &RunId) -> Result<(), Error>;
}

/// Which runs may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Only a terminal one.
    Terminal,
    /// A live one too: its holder is known to be dead.
    Any,
}
