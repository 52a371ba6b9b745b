//! The connection that writes: one transaction for all waiting operations, and the sync after it.
//!
//! Commits of one process follow each other, but those of many processes need not: a commit that may
//! be read before it is durable is synced after the database's lock is released, so that the kernel
//! syncs the commits of several processes at once.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::busy;
use super::connect::Identity;
use super::failure::Failure;
use super::job::Job;
use super::write::SyncPoint;

/// Each commit is synced before other processes can read it.
const SYNCED: &str = "PRAGMA synchronous = FULL";
/// Commits are synced by [`WriteConnection::sync`], by the next synced commit, or by a checkpoint.
const UNSYNCED: &str = "PRAGMA synchronous = NORMAL";

/// A connection, the identity of its file, and the log (WAL) beside it.
pub(super) struct WriteConnection {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Option<Identity>,
    /// True if SQLite syncs commits at present (`synchronous = FULL`).
    is_syncing: bool,
    /// The log; `None`: it cannot be opened, and SQLite has to sync it.
    log: Option<File>,
}

impl WriteConnection {
    /// Takes an open connection, which syncs its commits and has read the database, and the identity
    /// that its file had before.
    pub(super) fn new(connection: Connection, path: PathBuf, identity: Option<Identity>) -> Self {
        // The log is there from the first read until the last connection is closed. If it belongs
        // to a file that has replaced this one meanwhile, the first commit notices.
        let log = File::open(path.with_extension("db-wal")).ok();
        Self { connection, path, identity, is_syncing: true, log }
    }

    /// Returns the path of the database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Executes all jobs in one transaction; repeats it while the database is busy. Returns the time
    /// at which the commit is synced: [`SyncPoint::BeforeAnswer`] leaves that to
    /// [`WriteConnection::sync`].
    pub(super) fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<SyncPoint, Failure> {
        let wanted = jobs.iter().map(|job| job.sync_point()).max();
        let Self { connection, path, identity, is_syncing, log } = self;
        let sync_point = match wanted {
            Some(SyncPoint::BeforeAnswer) if log.is_none() => SyncPoint::BeforeVisible,
            Some(wanted) => wanted,
            None => SyncPoint::WithLaterCommit,
        };
        busy::patiently(|| {
            let syncs = sync_point == SyncPoint::BeforeVisible;
            if *is_syncing != syncs {
                connection.execute_batch(if syncs { SYNCED } else { UNSYNCED })?;
                *is_syncing = syncs;
            }
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Checked under the lock, which a rebuild holds until the new file is in place.
            if Identity::of(path) != *identity {
                return Err(Failure::Replaced);
            }
            for job in jobs.iter_mut() {
                job.run(&transaction)?;
            }
            Ok(transaction.commit()?)
        })?;
        Ok(sync_point)
    }

    /// Makes all commits so far durable.
    ///
    /// # Errors
    ///
    /// The error of the disk. Commits that SQLite did not sync may be lost with the machine.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.log.as_ref().map_or(Ok(()), File::sync_data)
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Files;
    use super::*;
    use crate::{Error, StoreChange};

    /// Job that writes nothing.
    struct Empty(SyncPoint);

    impl Job for Empty {
        fn run(&mut self, _: &Connection) -> Result<(), Failure> {
            Ok(())
        }
        fn sync_point(&self) -> SyncPoint {
            self.0
        }
        fn journal(&self, _: &mut Files) {}
        fn changes(&self) -> Vec<StoreChange> {
            Vec::new()
        }
        fn acknowledge(self: Box<Self>) {}
        fn fail(self: Box<Self>, _: Error) {}
    }

    #[test]
    fn a_commit_is_synced_when_the_most_careful_of_its_jobs_needs_it() {
        use SyncPoint::{BeforeAnswer, BeforeVisible, WithLaterCommit};
        let connection = Connection::open_in_memory().unwrap();
        let mut opened = WriteConnection::new(connection, PathBuf::new(), None);
        let log = tempfile::tempfile().unwrap();
        opened.log = Some(log);
        for (points, expect) in [
            (&[WithLaterCommit][..], WithLaterCommit),
            (&[BeforeVisible], BeforeVisible),
            (&[WithLaterCommit, BeforeAnswer], BeforeAnswer),
            (&[BeforeAnswer, BeforeVisible, WithLaterCommit], BeforeVisible),
            (&[BeforeAnswer], BeforeAnswer),
        ] {
            let mut boxed: Vec<Box<dyn Job>> =
                points.iter().map(|&point| Box::new(Empty(point)) as _).collect();
            assert_eq!(opened.commit(&mut boxed).unwrap(), expect, "{points:?}");
            let level: i64 =
                opened.connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
            // 1 is NORMAL, 2 is FULL.
            assert_eq!(level, if expect == BeforeVisible { 2 } else { 1 }, "{points:?}");
        }
    }

    #[test]
    fn sqlite_syncs_commits_whose_log_cannot_be_opened() {
        let connection = Connection::open_in_memory().unwrap();
        let mut opened = WriteConnection::new(connection, PathBuf::new(), None);
        let mut jobs: Vec<Box<dyn Job>> = vec![Box::new(Empty(SyncPoint::BeforeAnswer))];
        assert_eq!(opened.commit(&mut jobs).unwrap(), SyncPoint::BeforeVisible);
    }
}
