//! [`Store`] for PostgreSQL: each method is one operation or query.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use errand_model::event::Event;
use errand_model::price::Day;
use errand_model::run::CallerCommand;
use errand_model::step::Step;
use errand_model::{Digest, RunId, Timestamp};

use super::shared_files::Files;
use super::write::batch::{Afterwards, Gathered};
use super::write::{
    ClaimRuns, DiscardDeadLetter, Import, PutBom, Release, Remove, RemoveEnded, Renew, Reserve,
};
use super::{Postgres, ask, read};
use crate::dead_letter::{DeadLetterFilter, Discard, StoredDeadLetter};
use crate::layered::LayeredBlobs;
use crate::question::{Questions, StoredQuestion};
use crate::row::{
    Admission, Admitted, Append, Appended, Claim, Evidence, Filter, Holder, Lease, Page,
    QueuedCount, Renewed, Stored, StoredBomGeneration, StoredRequest, UnfinishedCounts,
};
use crate::{
    BlobPlaceRecord, ChangeObserver, Changes, DayReservation, DayReserved, DayStanding,
    DocumentKind, Error, Namespaces, Removal, SharedBlobs, SharedLogs, Store, UsageFilter,
    UsageTotals,
};

impl Postgres {
    /// Returns false if a claim would find nothing: a query is much cheaper than a transaction, and
    /// many workers look at an empty queue.
    async fn is_any_ready(&self, now: Timestamp) -> Result<bool, Error> {
        ask!(self, "looks at the queue", |db| read::is_any_ready(db, now))
    }
}

#[async_trait]
impl Store for Postgres {
    fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        self.observed.set(observer);
    }

    async fn admit(&self, admission: Admission) -> Result<Admitted, Error> {
        self.observed.before(&admission.events, &admission.documents);
        let admission = Box::new(admission);
        let (admitted, _) =
            self.gather(|reply| Gathered::Admit { admission, holder: None, reply }).await?;
        Ok(admitted)
    }

    async fn admit_held(
        &self,
        admission: Admission,
        holder: Holder,
    ) -> Result<(Admitted, Option<Lease>), Error> {
        self.observed.before(&admission.events, &admission.documents);
        let (admission, holder) = (Box::new(admission), Some(holder));
        self.gather(|reply| Gathered::Admit { admission, holder, reply }).await
    }

    async fn append(&self, append: Append) -> Result<Appended, Error> {
        self.observed.before(&append.events, &append.documents);
        let append = Box::new(append);
        self.gather(|reply| Gathered::Append { append, reply }).await
    }

    async fn append_at_rest(&self, append: Append) -> Result<Appended, Error> {
        self.observed.before(&append.events, &append.documents);
        let append = Box::new(append);
        self.gather(|reply| Gathered::AppendAtRest { append, reply }).await
    }

    async fn append_and_admit(
        &self,
        parent: Append,
        child: Admission,
        holder: Holder,
    ) -> Result<Lease, Error> {
        self.observed.before(&parent.events, &parent.documents);
        self.observed.before(&child.events, &child.documents);
        let (parent, child) = (Box::new(parent), Box::new(child));
        self.gather(|reply| Gathered::AppendAndAdmit { parent, child, holder, reply }).await
    }

    async fn append_and_admit_all(
        &self,
        parent: Append,
        children: Vec<Admission>,
    ) -> Result<Appended, Error> {
        self.observed.before(&parent.events, &parent.documents);
        for child in &children {
            self.observed.before(&child.events, &child.documents);
        }
        let parent = Box::new(parent);
        self.gather(|reply| Gathered::AppendAndAdmitAll { parent, children, reply }).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<(Stored, Lease)>, Error> {
        if claim.limit == 0
            || (self.shared.found_nothing.load(Ordering::Relaxed)
                && !self.is_any_ready(claim.now).await?)
        {
            return Ok(Vec::new());
        }
        let claimed = self.write(ClaimRuns(claim)).await?;
        self.shared.found_nothing.store(claimed.runs.is_empty(), Ordering::Relaxed);
        // The next append to each of them needs one round trip.
        let after = Afterwards { states: claimed.states, ..Afterwards::default() };
        self.shared.expected().note(after);
        Ok(claimed.runs)
    }

    async fn take(
        &self,
        run_id: &RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
    ) -> Result<Lease, Error> {
        let run_id = run_id.clone();
        self.gather(|reply| Gathered::Take { run_id, seen_epoch, holder, expires_at, reply }).await
    }

    async fn give_back(&self, run_id: &RunId, epoch: u64) -> Result<(), Error> {
        let run_id = run_id.clone();
        self.gather(|reply| Gathered::GiveBack { run_id, epoch, reply }).await
    }

    async fn renew(&self, leases: Vec<(RunId, u64)>, until: Timestamp) -> Result<Renewed, Error> {
        if leases.is_empty() {
            return Ok(Renewed::default());
        }
        self.write(Renew { leases, until }).await
    }

    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, Error> {
        ask!(self, "looks for lost runs", |db| read::expired(db, now, limit))
    }

    async fn has_due(&self, kinds: &[DocumentKind], now: Timestamp) -> Result<bool, Error> {
        ask!(self, "looks for due work", |db| read::has_due(db, kinds, now))
    }

    async fn unqueued(&self, limit: u32) -> Result<Vec<RunId>, Error> {
        ask!(self, "looks for runs with supervisors", |db| read::unqueued(db, limit))
    }

    async fn waiting(&self, now: Timestamp) -> Result<Vec<QueuedCount>, Error> {
        ask!(self, "counts what waits", |db| read::waiting(db, now))
    }

    async fn standing(&self) -> Result<UnfinishedCounts, Error> {
        ask!(self, "counts live runs", |db| read::standing(db))
    }

    fn changes(&self) -> Changes {
        self.shared.listen()
    }

    async fn load(&self, run_id: &RunId) -> Result<Option<Stored>, Error> {
        ask!(self, "loads a run", |db| read::load(db, run_id))
    }

    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let range = read::Range { from: after, limit: i64::from(limit) };
        ask!(self, "reads a journal", |db| read::events_after(db, run_id, range))
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<(Vec<Stored>, Vec<Error>), Error> {
        ask!(self, "lists runs", |db| read::list(db, filter, page))
    }

    async fn find(&self, part: &str, limit: u32) -> Result<Vec<RunId>, Error> {
        ask!(self, "looks for a run", |db| read::find(db, part, limit))
    }

    async fn evidence(&self, run_id: &RunId) -> Result<Option<Evidence>, Error> {
        ask!(self, "looks at a run", |db| read::evidence(db, run_id))
    }

    async fn run_ids(&self, after: Option<&RunId>, limit: u32) -> Result<Vec<RunId>, Error> {
        ask!(self, "lists runs", |db| read::run_ids(db, after, limit))
    }

    async fn scan(
        &self,
        run_id: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        ask!(self, "reads a journal", |db| read::scan(db, run_id, after, limit))
    }

    async fn import(&self, run: Admission) -> Result<Admitted, Error> {
        self.observed.before(&run.events, &run.documents);
        self.write(Import(run)).await
    }

    async fn steps(&self, run_id: &RunId) -> Result<Vec<Step>, Error> {
        ask!(self, "reads steps", |db| read::steps(db, run_id))
    }

    async fn request(
        &self,
        run_id: &RunId,
        command: CallerCommand,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let (run_id, command) = (run_id.clone(), Box::new(command));
        self.gather(|reply| Gathered::Ask { run_id, command, now, reply }).await
    }

    async fn requests(&self, run_id: &RunId) -> Result<Vec<StoredRequest>, Error> {
        ask!(self, "reads requests", |db| read::requests(db, run_id))
    }

    async fn asked(&self, run_ids: &[RunId]) -> Result<Vec<RunId>, Error> {
        ask!(self, "looks for requests", |db| read::asked(db, run_ids))
    }

    async fn questions(
        &self,
        which: Questions,
        namespaces: &Namespaces,
        limit: u32,
    ) -> Result<Vec<StoredQuestion>, Error> {
        ask!(self, "lists questions", |db| read::questions(db, which, namespaces, limit))
    }

    async fn put_bom(
        &self,
        agent: &str,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<StoredBomGeneration, Error> {
        self.write(PutBom { agent: agent.to_owned(), digest: digest.clone(), now }).await
    }

    async fn boms(&self, agent: &str, limit: u32) -> Result<Vec<StoredBomGeneration>, Error> {
        ask!(self, "reads inventories", |db| read::boms(db, agent, limit))
    }

    async fn reserve(&self, reservation: DayReservation) -> Result<DayReserved, Error> {
        self.write(Reserve(reservation)).await
    }

    async fn release(&self, run_id: &RunId, ids: Vec<String>) -> Result<(), Error> {
        self.write(Release { run_id: run_id.clone(), ids }).await
    }

    async fn day_standing(&self, agent: &str, day: Day) -> Result<DayStanding, Error> {
        ask!(self, "reads a budget", |db| read::day_standing(db, agent, day))
    }

    async fn usage(&self, query: &UsageFilter) -> Result<UsageTotals, Error> {
        ask!(self, "sums up usage", |db| read::usage(db, query))
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<Vec<StoredDeadLetter>, Error> {
        ask!(self, "lists dead letters", |db| read::dead_letters(db, filter, page))
    }

    async fn discard(&self, discard: Discard) -> Result<(), Error> {
        self.write(DiscardDeadLetter(discard)).await
    }

    async fn remove(&self, run_id: &RunId, even_live: Removal) -> Result<(), Error> {
        self.write(Remove { run_id: run_id.clone(), even_live }).await
    }

    async fn ended(
        &self,
        before: Timestamp,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>, Error> {
        ask!(self, "looks for old runs", |db| read::ended(db, before, after, limit))
    }

    async fn remove_ended(&self, run_ids: Vec<RunId>) -> Result<u64, Error> {
        self.write(RemoveEnded(run_ids)).await
    }

    fn blob_place(&self) -> Result<Option<BlobPlaceRecord>, Error> {
        Files(Arc::clone(&self.shared)).blob_place()
    }

    fn record_blob_place(&self, record: &BlobPlaceRecord) -> Result<BlobPlaceRecord, Error> {
        Files(Arc::clone(&self.shared)).record_blob_place(record)
    }

    fn keep_blobs_in(&self, place: Arc<dyn SharedBlobs>) {
        // A second place is ignored: the first is in use.
        drop(self.blobs.set(place));
    }

    fn shared_blobs(&self) -> Option<Arc<dyn SharedBlobs>> {
        let second: Arc<dyn SharedBlobs> = Arc::new(Files(Arc::clone(&self.shared)));
        match self.blobs.get() {
            Some(first) => Some(Arc::new(LayeredBlobs { first: Arc::clone(first), second })),
            None => Some(second),
        }
    }

    fn shared_logs(&self) -> Option<Arc<dyn SharedLogs>> {
        Some(Arc::new(Files(Arc::clone(&self.shared))))
    }

    async fn sync_files(&self, _: &RunId) -> Result<(), Error> {
        // There are none: the database is on another machine.
        Ok(())
    }
}
