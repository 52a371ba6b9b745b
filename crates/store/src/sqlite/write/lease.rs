//! Leases: taken, given back, and renewed.

use errand_model::{RunId, Timestamp};
use rusqlite::{Connection, params};

use super::{Operation, SyncPoint};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{CurrentRow, integer, json};
use crate::{Error, Holder, Lease, Renewed};

/// [`crate::Store::take`].
pub(in crate::sqlite) struct Take {
    pub(in crate::sqlite) run_id: RunId,
    pub(in crate::sqlite) seen_epoch: u64,
    pub(in crate::sqlite) holder: Holder,
    pub(in crate::sqlite) expires_at: Option<Timestamp>,
}

impl Operation for Take {
    type Output = Lease;

    // No process that holds a lease survives a loss of power.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::WithLaterCommit
    }

    fn run(&self, connection: &Connection) -> Result<Lease, Failure> {
        let current = CurrentRow::of(connection, &self.run_id)?;
        if current.is_over {
            return Err(Error::Sealed { run_id: self.run_id.clone() }.into());
        }
        if current.epoch != self.seen_epoch {
            let (run_id, epoch) = (self.run_id.clone(), self.seen_epoch);
            return Err(Error::Fenced { run_id, epoch, current: current.epoch }.into());
        }
        let lease = Lease {
            run_id: self.run_id.clone(),
            epoch: current.epoch + 1,
            holder: self.holder.clone(),
            expires_at: self.expires_at,
        };
        grant(connection, current.run, &lease)?;
        Ok(lease)
    }
}

/// Puts a new lease in force: the run leaves the queue, every older lease is void.
pub(super) fn grant(connection: &Connection, run: i64, lease: &Lease) -> Result<(), Failure> {
    const EPOCH: &str = "UPDATE runs SET epoch = ?2 WHERE run = ?1";
    const UNQUEUE: &str = "DELETE FROM queue WHERE run = ?1";
    connection.prepare_cached(EPOCH)?.execute(params![run, integer(lease.epoch)])?;
    connection.prepare_cached(UNQUEUE)?.execute([run])?;
    // Reservations under an older lease are never settled.
    super::usage::release_all(connection, run)?;
    put(connection, run, lease)
}

pub(in crate::sqlite) fn put(
    connection: &Connection,
    run: i64,
    lease: &Lease,
) -> Result<(), Failure> {
    const SQL: &str = "INSERT OR REPLACE INTO leases (run, epoch, holder, expires_at_ms, class) \
         SELECT ?1, ?2, ?3, ?4, class FROM runs WHERE run = ?1";
    connection.prepare_cached(SQL)?.execute(params![
        run,
        integer(lease.epoch),
        json(&lease.holder)?,
        lease.expires_at.map(Timestamp::as_millis)
    ])?;
    Ok(())
}

/// [`crate::Store::give_back`].
pub(in crate::sqlite) struct GiveBack {
    pub(in crate::sqlite) run_id: RunId,
    pub(in crate::sqlite) epoch: u64,
}

impl Operation for GiveBack {
    type Output = ();

    // A lease whose holder is gone is taken over.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::WithLaterCommit
    }

    fn run(&self, connection: &Connection) -> Result<(), Failure> {
        const SQL: &str = "DELETE FROM leases \
             WHERE run = (SELECT run FROM runs WHERE run_id = ?1) AND epoch = ?2";
        let values = params![self.run_id.as_str(), integer(self.epoch)];
        connection.prepare_cached(SQL)?.execute(values)?;
        Ok(())
    }
}

/// [`crate::Store::renew`].
pub(in crate::sqlite) struct Renew {
    pub(in crate::sqlite) leases: Vec<(RunId, u64)>,
    pub(in crate::sqlite) until: Timestamp,
}

impl Operation for Renew {
    type Output = Renewed;

    // No process that holds a lease survives a loss of power.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::WithLaterCommit
    }

    fn run(&self, connection: &Connection) -> Result<Renewed, Failure> {
        const ASKED: &str = "SELECT EXISTS (SELECT 1 FROM requests \
             WHERE run = (SELECT run FROM runs WHERE run_id = ?1))";
        const SQL: &str = "UPDATE leases SET expires_at_ms = ?3 \
             WHERE run = (SELECT run FROM runs WHERE run_id = ?1) AND epoch = ?2";
        let mut statement = connection.prepare_cached(SQL)?;
        let mut asked = connection.prepare_cached(ASKED)?;
        let mut renewed = Renewed::default();
        for (run_id, epoch) in &self.leases {
            let until = self.until.as_millis();
            if statement.execute(params![run_id.as_str(), integer(*epoch), until])? == 0 {
                renewed.lost.push(run_id.clone());
            } else if asked.query_row([run_id.as_str()], |row| row.get(0))? {
                renewed.asked.push(run_id.clone());
            }
        }
        Ok(renewed)
    }
}
