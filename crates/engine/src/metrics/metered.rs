//! A store that counts its changes, and renews the blobs and parcels that a change is about to
//! name.
//!
//! Every method calls the inner store's with the same arguments.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use errand_model::event::Event;
use errand_model::price::Day;
use errand_model::run::CallerCommand;
use errand_model::step::Step;
use errand_model::{Digest, RunId, Timestamp};
use errand_store::{
    Admission, Admitted, Append, Appended, Changes, Claim, DayReservation, DayReserved,
    DayStanding, DeadLetterFilter, Discard, Document, DocumentKind, DocumentQuery, DocumentStore,
    DocumentWrite, Error, Evidence, Filter, Holder, Lease, Name, NameStore, Namespaces, Page,
    Questions, QueuedCount, Removal, Renewed, ResultLookup, Session, SessionPage, SessionResult,
    SessionState, SessionStore, SessionTurn, SharedBlobs, SharedLogs, Store, Stored,
    StoredBomGeneration, StoredDeadLetter, StoredQuestion, StoredRequest, StoredSessionMessage,
    UnfinishedCounts, UsageFilter, UsageTotals,
};
use tokio::time::Instant;

use super::Metrics;
use super::saw::CommittedFacts;
use crate::renewal::Renewal;

/// A store with its counters.
#[derive(Debug)]
pub(crate) struct Metered {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    renewal: Arc<Renewal>,
}

impl Metered {
    /// Wraps `inner`.
    pub(crate) fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>, renewal: Arc<Renewal>) -> Self {
        Self { inner, metrics, renewal }
    }

    /// Counts the duration of a change, or its failure.
    async fn timed<T>(&self, change: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let began = Instant::now();
        let made = change.await;
        match &made {
            Ok(_) => self.metrics.commits.observe(began.elapsed()),
            Err(_) => self.metrics.commits_failed.add(1),
        }
        made
    }

    /// Counts an admitted run, unless an existing run was returned instead.
    fn admitted(&self, admitted: &Admitted, facts: CommittedFacts) {
        if matches!(admitted, Admitted::Created) {
            self.metrics.saw(facts);
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn count_of(renewed: &Renewed) -> u64 {
    count(renewed.lost.len())
}

#[async_trait]
impl SessionStore for Metered {
    async fn turn(&self, run_id: &RunId) -> Result<SessionTurn, Error> {
        self.inner.turn(run_id).await
    }

    async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, Error> {
        self.inner.sessions(page).await
    }

    async fn session_summary(&self, session_id: &str) -> Result<Option<Session>, Error> {
        self.inner.session_summary(session_id).await
    }

    async fn session(&self, session_id: &str) -> Result<Option<SessionState>, Error> {
        self.inner.session(session_id).await
    }

    async fn put_session(&self, session: SessionState, seen: u64) -> Result<u64, Error> {
        self.timed(self.inner.put_session(session, seen)).await
    }

    async fn session_length(&self, session_id: &str) -> Result<u64, Error> {
        self.inner.session_length(session_id).await
    }

    async fn session_messages(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredSessionMessage>, Error> {
        self.inner.session_messages(session_id, before, limit).await
    }

    async fn session_result(
        &self,
        lookup: &ResultLookup,
        now: Timestamp,
    ) -> Result<Option<SessionResult>, Error> {
        self.inner.session_result(lookup, now).await
    }

    async fn session_results(
        &self,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionResult>, Error> {
        self.inner.session_results(session_id, now).await
    }

    async fn session_rollbacks(&self, session_id: &str) -> Result<Vec<RunId>, Error> {
        self.inner.session_rollbacks(session_id).await
    }

    async fn remove_session(
        &self,
        session_id: &str,
        unused_since: Option<Timestamp>,
    ) -> Result<bool, Error> {
        self.timed(self.inner.remove_session(session_id, unused_since)).await
    }
}

#[async_trait]
impl DocumentStore for Metered {
    async fn write_documents(&self, writes: Vec<DocumentWrite>) -> Result<(), Error> {
        self.renewal.before_commit(&[], &writes);
        self.timed(self.inner.write_documents(writes)).await
    }

    async fn document(
        &self,
        kind: DocumentKind,
        namespace: Option<&str>,
        key: &str,
    ) -> Result<Option<Document>, Error> {
        self.inner.document(kind, namespace, key).await
    }

    async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Error> {
        self.inner.documents(query).await
    }

    async fn due_documents(
        &self,
        kind: DocumentKind,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Document>, Error> {
        self.inner.due_documents(kind, now, limit).await
    }
}

#[async_trait]
impl NameStore for Metered {
    async fn names_of_run(&self, run_id: &RunId) -> Result<Vec<Name>, Error> {
        self.inner.names_of_run(run_id).await
    }

    async fn named(&self, digests: &[Digest]) -> Result<BTreeSet<Digest>, Error> {
        self.inner.named(digests).await
    }

    async fn named_parcels(&self) -> Result<BTreeSet<Digest>, Error> {
        self.inner.named_parcels().await
    }

    async fn named_elsewhere(&self) -> Result<BTreeSet<Digest>, Error> {
        self.inner.named_elsewhere().await
    }

    async fn index_names(&self, limit: u32) -> Result<u64, Error> {
        self.inner.index_names(limit).await
    }
}

#[async_trait]
impl Store for Metered {
    async fn admit(&self, admission: Admission) -> Result<Admitted, Error> {
        self.renewal.before_commit(&admission.events, &admission.documents);
        let facts = CommittedFacts::of(&admission.run, &admission.events);
        let admitted = self.timed(self.inner.admit(admission)).await?;
        self.admitted(&admitted, facts);
        Ok(admitted)
    }

    async fn admit_held(
        &self,
        admission: Admission,
        holder: Holder,
    ) -> Result<(Admitted, Option<Lease>), Error> {
        self.renewal.before_commit(&admission.events, &admission.documents);
        let facts = CommittedFacts::of(&admission.run, &admission.events);
        let admitted = self.timed(self.inner.admit_held(admission, holder)).await?;
        self.admitted(&admitted.0, facts);
        Ok(admitted)
    }

    async fn append(&self, append: Append) -> Result<Appended, Error> {
        self.renewal.before_commit(&append.events, &append.documents);
        let facts = CommittedFacts::of(&append.run, &append.events);
        let appended = self.timed(self.inner.append(append)).await?;
        self.metrics.saw(facts);
        Ok(appended)
    }

    async fn append_at_rest(&self, append: Append) -> Result<Appended, Error> {
        self.renewal.before_commit(&append.events, &append.documents);
        let facts = CommittedFacts::of(&append.run, &append.events);
        let appended = self.timed(self.inner.append_at_rest(append)).await?;
        self.metrics.saw(facts);
        Ok(appended)
    }

    async fn append_and_admit(
        &self,
        parent: Append,
        child: Admission,
        holder: Holder,
    ) -> Result<Lease, Error> {
        self.renewal.before_commit(&parent.events, &parent.documents);
        self.renewal.before_commit(&child.events, &child.documents);
        let of_parent = CommittedFacts::of(&parent.run, &parent.events);
        let of_child = CommittedFacts::of(&child.run, &child.events);
        let lease = self.timed(self.inner.append_and_admit(parent, child, holder)).await?;
        self.metrics.saw(of_parent);
        self.metrics.saw(of_child);
        Ok(lease)
    }

    async fn append_and_admit_all(
        &self,
        parent: Append,
        children: Vec<Admission>,
    ) -> Result<Appended, Error> {
        self.renewal.before_commit(&parent.events, &parent.documents);
        for child in &children {
            self.renewal.before_commit(&child.events, &child.documents);
        }
        let of_parent = CommittedFacts::of(&parent.run, &parent.events);
        let of_children: Vec<CommittedFacts> =
            children.iter().map(|child| CommittedFacts::of(&child.run, &child.events)).collect();
        let appended = self.timed(self.inner.append_and_admit_all(parent, children)).await?;
        self.metrics.saw(of_parent);
        for facts in of_children {
            self.metrics.saw(facts);
        }
        Ok(appended)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<(Stored, Lease)>, Error> {
        let now = claim.now;
        let claimed = self.timed(self.inner.claim(claim)).await?;
        self.metrics.claimed(claimed.iter().map(|(stored, _)| stored), now);
        Ok(claimed)
    }

    async fn take(
        &self,
        run_id: &RunId,
        seen_epoch: u64,
        holder: Holder,
        expires_at: Option<Timestamp>,
    ) -> Result<Lease, Error> {
        let taken = self.inner.take(run_id, seen_epoch, holder, expires_at);
        let lease = self.timed(taken).await?;
        self.metrics.leases_taken.add(u64::from(seen_epoch > 0));
        Ok(lease)
    }

    async fn give_back(&self, run_id: &RunId, epoch: u64) -> Result<(), Error> {
        self.timed(self.inner.give_back(run_id, epoch)).await
    }

    async fn renew(&self, leases: Vec<(RunId, u64)>, until: Timestamp) -> Result<Renewed, Error> {
        let count = count(leases.len());
        let renewed = self.timed(self.inner.renew(leases, until)).await?;
        let lost = count_of(&renewed);
        self.metrics.leases_lost.add(lost);
        self.metrics.leases_renewed.add(count.saturating_sub(lost));
        Ok(renewed)
    }

    async fn unqueued(&self, limit: u32) -> Result<Vec<RunId>, Error> {
        self.inner.unqueued(limit).await
    }

    async fn expired(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, Error> {
        self.inner.expired(now, limit).await
    }

    async fn waiting(&self, now: Timestamp) -> Result<Vec<QueuedCount>, Error> {
        self.inner.waiting(now).await
    }

    async fn standing(&self) -> Result<UnfinishedCounts, Error> {
        self.inner.standing().await
    }

    fn changes(&self) -> Changes {
        self.inner.changes()
    }

    async fn load(&self, run_id: &RunId) -> Result<Option<Stored>, Error> {
        self.inner.load(run_id).await
    }

    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<Vec<Event>, Error> {
        self.inner.events(run_id, after, limit).await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<(Vec<Stored>, Vec<Error>), Error> {
        self.inner.list(filter, page).await
    }

    async fn find(&self, part: &str, limit: u32) -> Result<Vec<RunId>, Error> {
        self.inner.find(part, limit).await
    }

    async fn evidence(&self, run_id: &RunId) -> Result<Option<Evidence>, Error> {
        self.inner.evidence(run_id).await
    }

    async fn run_ids(&self, after: Option<&RunId>, limit: u32) -> Result<Vec<RunId>, Error> {
        self.inner.run_ids(after, limit).await
    }

    async fn scan(
        &self,
        run_id: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        self.inner.scan(run_id, after, limit).await
    }

    async fn import(&self, run: Admission) -> Result<Admitted, Error> {
        self.renewal.before_commit(&run.events, &run.documents);
        self.timed(self.inner.import(run)).await
    }

    async fn steps(&self, run_id: &RunId) -> Result<Vec<Step>, Error> {
        self.inner.steps(run_id).await
    }

    async fn request(
        &self,
        run_id: &RunId,
        command: CallerCommand,
        now: Timestamp,
    ) -> Result<i64, Error> {
        self.timed(self.inner.request(run_id, command, now)).await
    }

    async fn requests(&self, run_id: &RunId) -> Result<Vec<StoredRequest>, Error> {
        self.inner.requests(run_id).await
    }

    async fn questions(
        &self,
        which: Questions,
        namespaces: &Namespaces,
        limit: u32,
    ) -> Result<Vec<StoredQuestion>, Error> {
        self.inner.questions(which, namespaces, limit).await
    }

    async fn put_bom(
        &self,
        agent: &str,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<StoredBomGeneration, Error> {
        self.timed(self.inner.put_bom(agent, digest, now)).await
    }

    async fn boms(&self, agent: &str, limit: u32) -> Result<Vec<StoredBomGeneration>, Error> {
        self.inner.boms(agent, limit).await
    }

    async fn reserve(&self, reservation: DayReservation) -> Result<DayReserved, Error> {
        self.timed(self.inner.reserve(reservation)).await
    }

    async fn release(&self, run_id: &RunId, ids: Vec<String>) -> Result<(), Error> {
        self.timed(self.inner.release(run_id, ids)).await
    }

    async fn day_standing(&self, agent: &str, day: Day) -> Result<DayStanding, Error> {
        self.inner.day_standing(agent, day).await
    }

    async fn usage(&self, query: &UsageFilter) -> Result<UsageTotals, Error> {
        self.inner.usage(query).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<Vec<StoredDeadLetter>, Error> {
        self.inner.dead_letters(filter, page).await
    }

    async fn discard(&self, discard: Discard) -> Result<(), Error> {
        self.timed(self.inner.discard(discard)).await
    }

    async fn remove(&self, run_id: &RunId, even_live: Removal) -> Result<(), Error> {
        self.timed(self.inner.remove(run_id, even_live)).await
    }

    async fn ended(
        &self,
        before: Timestamp,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>, Error> {
        self.inner.ended(before, after, limit).await
    }

    async fn remove_ended(&self, run_ids: Vec<RunId>) -> Result<u64, Error> {
        self.timed(self.inner.remove_ended(run_ids)).await
    }

    fn shared_blobs(&self) -> Option<Arc<dyn SharedBlobs>> {
        self.inner.shared_blobs()
    }

    fn shared_logs(&self) -> Option<Arc<dyn SharedLogs>> {
        self.inner.shared_logs()
    }

    async fn sync_files(&self, run_id: &RunId) -> Result<(), Error> {
        self.inner.sync_files(run_id).await
    }
}
