//! Claims of workers on queued runs.

use errand_model::Timestamp;
use errand_model::placement::{Class, ReadyRuns, UnderLease, choose};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Operation, SyncPoint, lease};
use crate::sqlite::failure::Failure;
use crate::sqlite::read;
use crate::sqlite::row::damaged;
use crate::{Claim, Error, Lease, Stored};

/// [`crate::Store::claim`].
pub(in crate::sqlite) struct ClaimRuns(pub(in crate::sqlite) Claim);

impl Operation for ClaimRuns {
    type Output = Vec<(Stored, Lease)>;

    // The worker syncs the start of the attempt. Without it, the run is in the queue again.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::WithLaterCommit
    }

    fn run(&self, connection: &Connection) -> Result<Self::Output, Failure> {
        let mut claimed = Vec::new();
        for run in self.ready(connection)? {
            match read::load_number(connection, run) {
                Ok(stored) => claimed.push(self.grant(connection, run, stored)?),
                // An unreadable run must not block the queue: it is still listed, with its error,
                // and can be removed.
                Err(Failure::Refused(Error::Damaged { .. })) => {
                    connection
                        .prepare_cached("DELETE FROM queue WHERE run = ?1")?
                        .execute([run])?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(claimed)
    }
}

impl ClaimRuns {
    /// Returns the numbers of the runs to claim.
    fn ready(&self, connection: &Connection) -> Result<Vec<i64>, Failure> {
        let mut groups = Vec::new();
        for key in classes(connection)? {
            let class = Class::from_key(&key)
                .map_err(|error| damaged("", format!("the class {key:?} in the queue: {error}")))?;
            if !self.0.offer.has_labels_of(&class.demands) {
                continue;
            }
            let runs = self.ready_of(connection, &key)?;
            groups.push(ReadyRuns { class, runs });
        }
        let limit = usize::try_from(self.0.limit).unwrap_or(usize::MAX);
        Ok(choose(&groups, &under_lease(connection)?, &self.0.offer, limit))
    }

    /// Returns the best runs of one class: priority by priority, so that many runs which are not
    /// ready yet cost nothing.
    fn ready_of(
        &self,
        connection: &Connection,
        class: &str,
    ) -> Result<Vec<(i32, Timestamp, i64)>, Failure> {
        const NEXT: &str = "SELECT priority FROM queue WHERE class = ?2 AND priority < ?1 \
             ORDER BY priority DESC LIMIT 1";
        // A run that would only wait for its turn in a session is left out, since it would occupy a
        // slot.
        const READY: &str = "SELECT q.run, q.ready_at_ms FROM queue q \
             LEFT JOIN session_turns t ON t.run = q.run \
             WHERE q.class = ?4 AND q.priority = ?1 AND q.ready_at_ms <= ?2 \
             AND (t.run IS NULL OR t.has_begun OR NOT t.waits OR NOT EXISTS \
             (SELECT 1 FROM session_turns a WHERE a.session_id = t.session_id \
             AND a.run <> t.run AND (a.has_begun OR a.run < t.run))) \
             ORDER BY q.ready_at_ms, q.run LIMIT ?3";
        let limit = usize::try_from(self.0.limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut above = i64::from(i32::MAX) + 1;
        while found.len() < limit {
            let next: Option<i32> = connection
                .prepare_cached(NEXT)?
                .query_row(params![above, class], |row| row.get(0))
                .optional()?;
            let Some(priority) = next else { break };
            above = i64::from(priority);
            let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(READY)?;
            let now = self.0.now.as_millis();
            let mut rows = statement.query(params![priority, now, left, class])?;
            while let Some(row) = rows.next()? {
                found.push((priority, Timestamp::from_millis(row.get(1)?), row.get(0)?));
            }
        }
        Ok(found)
    }

    fn grant(
        &self,
        connection: &Connection,
        run: i64,
        mut stored: Stored,
    ) -> Result<(Stored, Lease), Failure> {
        let lease = Lease {
            run_id: stored.run.id.clone(),
            epoch: stored.epoch + 1,
            holder: self.0.holder.clone(),
            expires_at: self.0.lease_for.map(|length| self.0.now.plus(length)),
        };
        lease::grant(connection, run, &lease)?;
        stored.epoch = lease.epoch;
        stored.lease = Some(lease.clone());
        Ok((stored, lease))
    }
}

/// Returns the classes of queued runs.
fn classes(connection: &Connection) -> Result<Vec<String>, Failure> {
    const FIRST: &str = "SELECT class FROM queue ORDER BY class LIMIT 1";
    const NEXT: &str = "SELECT class FROM queue WHERE class > ?1 ORDER BY class LIMIT 1";
    let mut found = Vec::new();
    let mut next: Option<String> =
        connection.prepare_cached(FIRST)?.query_row([], |row| row.get(0)).optional()?;
    while let Some(class) = next {
        next = connection.prepare_cached(NEXT)?.query_row([&class], |row| row.get(0)).optional()?;
        found.push(class);
    }
    Ok(found)
}

/// Counts the leases by namespace and concurrency key.
fn under_lease(connection: &Connection) -> Result<UnderLease, Failure> {
    const SQL: &str = "SELECT class, count(*) FROM leases GROUP BY class";
    let mut counted = UnderLease::default();
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, count): (String, u32) = (row.get(0)?, row.get(1)?);
        // A class that cannot be parsed was never written.
        let Ok(class) = Class::from_key(&key) else { continue };
        *counted.by_namespace.entry(class.namespace).or_default() += count;
        for key in class.demands.concurrency.into_keys() {
            *counted.by_key.entry(key).or_default() += count;
        }
    }
    Ok(counted)
}
