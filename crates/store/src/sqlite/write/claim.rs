//! A worker takes what is ready.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Operation, lease};
use crate::sqlite::failure::Failure;
use crate::sqlite::read;
use crate::{Claim, Error, Lease, Stored};

/// [`crate::Store::claim`].
pub(in crate::sqlite) struct ClaimRuns(pub(in crate::sqlite) Claim);

impl Operation for ClaimRuns {
    type Output = Vec<(Stored, Lease)>;

    fn run(&self, connection: &Connection) -> Result<Self::Output, Failure> {
        let mut claimed = Vec::new();
        for run in self.ready(connection)? {
            match read::load_number(connection, run) {
                Ok(stored) => claimed.push(self.grant(connection, run, stored)?),
                // One that cannot be read must not keep the others waiting: it is still listed,
                // with what is wrong, and can be removed.
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
    /// The numbers of the runs to claim: priority by priority, so that many runs which are not
    /// ready yet cost nothing.
    fn ready(&self, connection: &Connection) -> Result<Vec<i64>, Failure> {
        const NEXT: &str = "SELECT priority FROM queue WHERE priority < ?1 \
             ORDER BY priority DESC LIMIT 1";
        // A run that would only wait for its turn in its session takes nobody's slot.
        const READY: &str = "SELECT q.run FROM queue q LEFT JOIN session_turns t ON t.run = q.run \
             WHERE q.priority = ?1 AND q.ready_at_ms <= ?2 \
             AND (t.run IS NULL OR t.has_begun OR NOT t.waits OR NOT EXISTS \
             (SELECT 1 FROM session_turns a WHERE a.session_id = t.session_id \
             AND a.run <> t.run AND (a.has_begun OR a.run < t.run))) \
             ORDER BY q.ready_at_ms, q.run LIMIT ?3";
        let limit = usize::try_from(self.0.limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut above = i64::from(i32::MAX) + 1;
        while found.len() < limit {
            let next: Option<i64> =
                connection.prepare_cached(NEXT)?.query_row([above], |row| row.get(0)).optional()?;
            let Some(priority) = next else { break };
            above = priority;
            let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(READY)?;
            let mut rows = statement.query(params![priority, self.0.now.as_millis(), left])?;
            while let Some(row) = rows.next()? {
                found.push(row.get(0)?);
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
