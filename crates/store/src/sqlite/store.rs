//! [`Store`] for SQLite: each method is one operation or query.

use std::sync::Arc;

use async_trait::async_trait;
use errand_model::event::Event;
use errand_model::price::Day;
use errand_model::run::CallerCommand;
use errand_model::step::Step;
use errand_model::{Digest, RunId, Timestamp};

use super::write::{
    Admit, AdmitHeld, AppendAndAdmit, AppendAndAdmitAll, AppendAtRest, AppendEvents, Ask,
    ClaimRuns, DiscardDeadLetter, GiveBack, Import, PutBom, Release, Remove, RemoveEnded, Renew,
    Reserve, Take,
};
use super::{Sqlite, read};
use crate::dead_letter::{DeadLetterFilter, Discard, StoredDeadLetter};
use crate::question::{Questions, StoredQuestion};
use crate::row::{
    Admission, Admitted, Append, Appended, Claim, Evidence, Filter, Holder, Lease, Page,
    QueuedCount, Renewed, Stored, StoredBomGeneration, StoredRequest, UnfinishedCounts,
};
use crate::{
    BlobPlaceRecord, ChangeObserver, Changes, DayReservation, DayReserved, DayStanding,
    DocumentKind, Error, Namespaces, Removal, SharedBlobs, SharedLogs, Store, UsageFilter,
    UsageTotals, blob_place,
};

#[async_trait]
impl Store for Sqlite {
    fn observe(&self, observer: Arc<dyn ChangeObserver>) {
        self.observed.set(observer);
    }

    async fn admit(&self, admission: Admission) -> Result<Admitted, Error> {
        self.observed.before(&admission.events, &admission.documents);
        self.write(Admit(admission)).await
    }

    async fn admit_held(
        &self,
        admission: Admission,
        holder: Holder,
    ) -> Result<(Admitted, Option<Lease>), Error> {
        self.observed.before(&admission.events, &admission.documents);
        self.write(AdmitHeld(admission, holder)).await
    }

    async fn append(&self, append: Append) -> Result<Appended, Error> {
        self.observed.before(&append.events, &append.documents);
        self.write(AppendEvents(append)).await
    }

    async fn append_at_rest(&self, append: Append) -> Result<Appended, Error> {
        self.observed.before(&append.events, &append.documents);
        self.write(AppendAtRest(append)).await
    }

    async fn append_and_admit(
        &self,
        parent: Append,
        child: Admission,
        holder: Holder,
    ) -> Result<Lease, Error> {
        self.observed.before(&parent.events, &parent.documents);
        self.observed.before(&child.events, &child.documents);
        self.write(AppendAndAdmit { parent, child, holder }).await
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
        self.write(AppendAndAdmitAll { parent, children }).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<(Stored, Lease)>, Error> {
        self.write(ClaimRuns(claim)).await
    }

    async fn take(
        &self,
        run_id: &RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
    ) -> Result<Lease, Error> {
        self.write(Take { run_id: run_id.clone(), seen_epoch, holder, expires_at }).await
    }

    async fn give_back(&self, run_id: &RunId, epoch: u64) -> Result<(), Error> {
        self.write(GiveBack { run_id: run_id.clone(), epoch }).await
    }

    async fn renew(&self, leases: Vec<(RunId, u64)>, until: Timestamp) -> Result<Renewed, Error> {
        self.write(Renew { leases, until }).await
    }

    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, Error> {
        self.read("looks for lost runs", |connection| read::expired(connection, now, limit))
    }

    async fn has_due(&self, kinds: &[DocumentKind], now: Timestamp) -> Result<bool, Error> {
        self.read("looks for due work", |connection| read::has_due(connection, kinds, now))
    }

    async fn unqueued(&self, limit: u32) -> Result<Vec<RunId>, Error> {
        self.read("looks for runs with supervisors", |connection| read::unqueued(connection, limit))
    }

    async fn waiting(&self, now: Timestamp) -> Result<Vec<QueuedCount>, Error> {
        self.read("counts what waits", |connection| read::waiting(connection, now))
    }

    async fn standing(&self) -> Result<UnfinishedCounts, Error> {
        self.read("counts live runs", read::standing)
    }

    fn changes(&self) -> Changes {
        self.writer.changes()
    }

    async fn load(&self, run_id: &RunId) -> Result<Option<Stored>, Error> {
        self.read("loads a run", |connection| read::load(connection, run_id))
    }

    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let range = read::Range { from: after, limit: i64::from(limit) };
        self.read("reads a journal", |connection| read::events_after(connection, run_id, range))
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<(Vec<Stored>, Vec<Error>), Error> {
        self.read("lists runs", |connection| read::list(connection, filter, page))
    }

    async fn find(&self, part: &str, limit: u32) -> Result<Vec<RunId>, Error> {
        self.read("looks for a run", |connection| read::find(connection, part, limit))
    }

    async fn evidence(&self, run_id: &RunId) -> Result<Option<Evidence>, Error> {
        self.read("looks at a run", |connection| read::evidence(connection, run_id))
    }

    async fn run_ids(&self, after: Option<&RunId>, limit: u32) -> Result<Vec<RunId>, Error> {
        self.read("lists runs", |connection| read::run_ids(connection, after, limit))
    }

    async fn scan(
        &self,
        run_id: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        self.read("reads a journal", |connection| read::scan(connection, run_id, after, limit))
    }

    async fn import(&self, run: Admission) -> Result<Admitted, Error> {
        self.observed.before(&run.events, &run.documents);
        self.write(Import(run)).await
    }

    async fn steps(&self, run_id: &RunId) -> Result<Vec<Step>, Error> {
        self.read("reads steps", |connection| read::steps(connection, run_id))
    }

    async fn request(
        &self,
        run_id: &RunId,
        command: CallerCommand,
        now: Timestamp,
    ) -> Result<i64, Error> {
        self.write(Ask { run_id: run_id.clone(), command, now }).await
    }

    async fn requests(&self, run_id: &RunId) -> Result<Vec<StoredRequest>, Error> {
        self.read("reads requests", |connection| read::requests(connection, run_id))
    }

    async fn asked(&self, run_ids: &[RunId]) -> Result<Vec<RunId>, Error> {
        self.read("looks for requests", |connection| read::asked(connection, run_ids))
    }

    async fn questions(
        &self,
        which: Questions,
        namespaces: &Namespaces,
        limit: u32,
    ) -> Result<Vec<StoredQuestion>, Error> {
        self.read("lists questions", |connection| {
            read::questions(connection, which, namespaces, limit)
        })
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
        self.read("reads inventories", |connection| read::boms(connection, agent, limit))
    }

    async fn reserve(&self, reservation: DayReservation) -> Result<DayReserved, Error> {
        self.write(Reserve(reservation)).await
    }

    async fn release(&self, run_id: &RunId, ids: Vec<String>) -> Result<(), Error> {
        self.write(Release { run_id: run_id.clone(), ids }).await
    }

    async fn day_standing(&self, agent: &str, day: Day) -> Result<DayStanding, Error> {
        self.read("reads a budget", |connection| read::day_standing(connection, agent, day))
    }

    async fn usage(&self, query: &UsageFilter) -> Result<UsageTotals, Error> {
        self.read("sums up usage", |connection| read::usage(connection, query))
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<Vec<StoredDeadLetter>, Error> {
        self.read("lists dead letters", |connection| read::dead_letters(connection, filter, page))
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
        self.read("looks for old runs", |connection| read::ended(connection, before, after, limit))
    }

    async fn remove_ended(&self, run_ids: Vec<RunId>) -> Result<u64, Error> {
        self.write(RemoveEnded(run_ids)).await
    }

    fn blob_place(&self) -> Result<Option<BlobPlaceRecord>, Error> {
        blob_place::read(&self.registry)
    }

    fn record_blob_place(&self, record: &BlobPlaceRecord) -> Result<BlobPlaceRecord, Error> {
        self.check_writable()?;
        blob_place::keep(&self.registry, record)
    }

    fn keep_blobs_in(&self, place: Arc<dyn SharedBlobs>) {
        // A second place is ignored: the first is in use.
        drop(self.blobs.set(place));
    }

    fn shared_blobs(&self) -> Option<Arc<dyn SharedBlobs>> {
        self.blobs.get().cloned()
    }

    fn shared_logs(&self) -> Option<Arc<dyn SharedLogs>> {
        None
    }

    async fn sync_files(&self, run_id: &RunId) -> Result<(), Error> {
        self.check_writable()?;
        self.writer.sync(run_id.clone()).await
    }
}
