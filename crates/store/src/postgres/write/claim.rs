//! Claims of workers on queued runs.
//!
//! Rows of the queue are locked and then read again, and rows locked by another worker are skipped:
//! two workers never wait for each other, and never get the same run. A run that is being changed
//! is left for later. Only claims under shared bounds exclude each other.

use std::collections::BTreeMap;

use async_trait::async_trait;
use errand_model::Timestamp;
use errand_model::placement::{Class, ReadyRuns, UnderLease, choose};
use futures_util::future::try_join;

use super::Operation;
use super::claim_plain::{self, ClaimedRuns, ready_runs};
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::read;
use crate::postgres::row::damaged;
use crate::postgres::write::batch::{Leases, UNQUEUE, UNRESERVE};
use crate::{Claim, Error, Lease, Stored};

/// Lock of claims under shared bounds.
const BOUNDS: &str = "SELECT pg_advisory_xact_lock(hashtextextended('shared bounds', 0))";

/// Query for the classes and ranks of queued runs, best first within a class: it steps from each to
/// the next, however many runs each has.
const GROUPS: &str = "WITH RECURSIVE groups (class, rank) AS ( \
     (SELECT class, rank FROM queue ORDER BY class, rank LIMIT 1) \
     UNION ALL SELECT n.class, n.rank FROM groups g, LATERAL (SELECT q.class, q.rank FROM queue q \
     WHERE (q.class, q.rank) > (g.class, g.rank) ORDER BY q.class, q.rank LIMIT 1) n) \
     SELECT class, rank FROM groups";

/// Query for the best runs of one class and rank.
const READY: &str = concat!("SELECT q.run, q.ready_at_ms ", ready_runs!("$1", "$2", "$3", "$4"));

/// Query for those runs that are still in the queue and that no other worker claims.
const LOCK_ROWS: &str = "SELECT run FROM queue WHERE run = ANY($1) FOR UPDATE SKIP LOCKED";

/// Query for those runs that no other transaction changes; locks them.
const LOCK_RUNS: &str = "SELECT r.run FROM unnest($1::bigint[]) AS x (run) \
     JOIN runs r ON r.run = x.run \
     WHERE pg_try_advisory_xact_lock(hashtextextended(r.run_id, 0))";

/// Query for the number of leases by class.
const UNDER_LEASE: &str = "SELECT class, count(*) FROM leases GROUP BY class";

/// Number of choices before giving up, if other workers were faster.
const TRIES: u32 = 3;

/// [`crate::Store::claim`].
pub(in crate::postgres) struct ClaimRuns(pub(in crate::postgres) Claim);

#[async_trait]
impl Operation for ClaimRuns {
    type Output = ClaimedRuns;

    const DOING: &'static str = "claims runs";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, db: &Db) -> Result<Self::Output, Failure> {
        if !self.0.offer.only
            && let Some(claimed) = claim_plain::claim(db, &self.0).await?
        {
            return Ok(claimed);
        }
        let runs = self.chosen(db).await?;
        if runs.is_empty() {
            return Ok(ClaimedRuns::default());
        }
        let runs = self.grant(db, &runs).await?;
        Ok(ClaimedRuns { runs, states: Vec::new(), has_changed: true })
    }

    fn has_changed(&self, claimed: &ClaimedRuns) -> bool {
        claimed.has_changed
    }
}

impl ClaimRuns {
    /// Returns the numbers of the runs to claim, in order; their rows in the queue are locked.
    async fn chosen(&self, db: &Db) -> Result<Vec<i64>, Failure> {
        let groups = groups(db).await?;
        let mut classes = Vec::new();
        for (key, ranks) in &groups {
            let class = Class::from_key(key)
                .map_err(|error| damaged("", format!("the class {key:?} in the queue: {error}")))?;
            if self.0.offer.has_labels_of(&class.demands) {
                classes.push((class, key.as_str(), ranks.as_slice()));
            }
        }
        if classes.iter().any(|(class, _, _)| !class.demands.concurrency.is_empty()) {
            db.query(BOUNDS, &[]).await?;
        }
        let mut locked = Vec::new();
        for _ in 0..TRIES {
            let wanted = self.choose(db, &classes).await?;
            let rows = db.query(LOCK_ROWS, &[&wanted]).await?;
            let got: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            locked = wanted.iter().copied().filter(|run| got.contains(run)).collect();
            if !locked.is_empty() || wanted.is_empty() {
                break;
            }
        }
        Ok(locked)
    }

    /// Chooses runs by the present queue and leases.
    async fn choose(
        &self,
        db: &Db,
        classes: &[(Class, &str, &[i32])],
    ) -> Result<Vec<i64>, Failure> {
        let mut ready = Vec::new();
        for (class, key, ranks) in classes {
            let runs = self.ready_of(db, (key, ranks)).await?;
            ready.push(ReadyRuns { class: class.clone(), runs });
        }
        let limit = usize::try_from(self.0.limit).unwrap_or(usize::MAX);
        Ok(choose(&ready, &under_lease(db).await?, &self.0.offer, limit))
    }

    /// Returns the best runs of one class: rank by rank, so that many runs which are not ready yet
    /// cost nothing.
    async fn ready_of(
        &self,
        db: &Db,
        (class, ranks): (&str, &[i32]),
    ) -> Result<Vec<(i32, Timestamp, i64)>, Failure> {
        let limit = usize::try_from(self.0.limit).unwrap_or(usize::MAX);
        let now = self.0.now.as_millis();
        let mut found = Vec::new();
        for rank in ranks {
            let left = i64::try_from(limit.saturating_sub(found.len())).unwrap_or(i64::MAX);
            if left == 0 {
                break;
            }
            for row in db.query(READY, &[&class, rank, &now, &left]).await? {
                found.push((!*rank, Timestamp::from_millis(row.try_get(1)?), row.try_get(0)?));
            }
        }
        Ok(found)
    }

    /// Leases those of the runs that no other transaction changes.
    async fn grant(&self, db: &Db, runs: &[i64]) -> Result<Vec<(Stored, Lease)>, Failure> {
        let locking = [Step::Query(LOCK_RUNS, vec![&runs])];
        db.prepare(&locking).await?;
        // Sent behind the locks: the loaded rows are those that they protect.
        let (locked, mut loaded) =
            try_join(db.pipeline(&locking), read::load_numbers(db, runs)).await?;
        let rows = locked.iter().flat_map(|answer| &answer.rows);
        let free: Vec<i64> = rows.map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let mut leases = Leases::default();
        let (mut claimed, mut granted, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for run in runs.iter().copied().filter(|run| free.contains(run)) {
            match loaded.remove(&run) {
                Some(Ok(stored)) if stored.lease.is_none() && !stored.run.status.is_terminal() => {
                    let claim = self.lease(stored);
                    leases.put(run, &claim.1)?;
                    granted.push(run);
                    claimed.push(claim);
                }
                // An unreadable run must not block the queue: it is still listed, with its error,
                // and can be removed.
                Some(Ok(_) | Err(Error::Damaged { .. })) | None => unreadable.push(run),
                Some(Err(error)) => return Err(error.into()),
            }
        }
        let gone: Vec<i64> = granted.iter().chain(&unreadable).copied().collect();
        let mut steps = vec![Step::Execute(UNQUEUE, vec![&gone])];
        if !granted.is_empty() {
            steps.push(Step::Execute(UNRESERVE, vec![&granted]));
            steps.push(leases.step());
        }
        db.pipeline(&steps).await?;
        Ok(claimed)
    }

    fn lease(&self, mut stored: Stored) -> (Stored, Lease) {
        let lease = Lease {
            run_id: stored.run.id.clone(),
            epoch: stored.epoch + 1,
            holder: self.0.holder.clone(),
            expires_at: self.0.lease_for.map(|length| self.0.now.plus(length)),
        };
        stored.epoch = lease.epoch;
        stored.lease = Some(lease.clone());
        (stored, lease)
    }
}

/// Returns the ranks of queued runs by class, best first.
async fn groups(db: &Db) -> Result<BTreeMap<String, Vec<i32>>, Failure> {
    let mut groups: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for row in db.query(GROUPS, &[]).await? {
        groups.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    Ok(groups)
}

async fn under_lease(db: &Db) -> Result<UnderLease, Failure> {
    let mut counted = UnderLease::default();
    for row in db.query(UNDER_LEASE, &[]).await? {
        let count = u32::try_from(row.try_get::<_, i64>(1)?).unwrap_or(u32::MAX);
        // A class that cannot be parsed was never written.
        let Ok(class) = Class::from_key(row.try_get(0)?) else { continue };
        *counted.by_namespace.entry(class.namespace).or_default() += count;
        for key in class.demands.concurrency.into_keys() {
            *counted.by_key.entry(key).or_default() += count;
        }
    }
    Ok(counted)
}
