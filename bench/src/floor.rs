//! Floors: the machine's own speed at this moment.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::Failure;

/// Number of repetitions, of which the median counts.
const LOOKS: usize = 15;

/// Size of one page of a registry.
const APPEND_BYTES: usize = 4096;

/// Rows in one commit of the SQLite floor.
const ROWS_PER_COMMIT: u32 = 100;

/// Commits in one measurement of the SQLite floor.
const COMMITS: u32 = 50;

/// The two floors on which most targets depend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// Time of spawning `/bin/true` and waiting for it.
    pub(crate) spawn: Duration,
    /// Time of appending 4 KiB and syncing them.
    pub(crate) fsync: Duration,
}

impl Floor {
    /// Measures both on the disk that holds `folder`.
    pub(crate) fn look(folder: &Path) -> Result<Self, Failure> {
        let spawn = median_of(LOOKS, || {
            let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
            if status.success() { Ok(()) } else { Err("/bin/true failed".into()) }
        })?;
        let path = folder.join("floor");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let fsync = median_of(LOOKS, || append(&mut file))?;
        std::fs::remove_file(path)?;
        Ok(Self { spawn, fsync })
    }

    /// Returns the time of so many spawns and durable appends, in seconds.
    pub(crate) fn allow(self, spawns: f64, fsyncs: f64) -> f64 {
        spawns * self.spawn.as_secs_f64() + fsyncs * self.fsync.as_secs_f64()
    }
}

fn append(file: &mut File) -> Result<(), Failure> {
    file.write_all(&[0x2e; APPEND_BYTES])?;
    file.sync_data()?;
    Ok(())
}

/// Returns G: rows per second of SQLite alone, in commits of 100 rows, at `synchronous=FULL`.
pub(crate) fn sqlite_rows_per_second(folder: &Path) -> Result<f64, Failure> {
    let path = folder.join("floor.db");
    let mut connection = Connection::open(&path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute("create table row (id integer primary key, text blob not null)", [])?;
    let text = [0x2e_u8; 200];
    let started = Instant::now();
    for _ in 0..COMMITS {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare("insert into row (text) values (?1)")?;
            for _ in 0..ROWS_PER_COMMIT {
                insert.execute([text.as_slice()])?;
            }
        }
        transaction.commit()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(connection);
    for suffix in ["", "-wal", "-shm"] {
        let left = path.with_file_name(format!("floor.db{suffix}"));
        if left.exists() {
            std::fs::remove_file(left)?;
        }
    }
    Ok(f64::from(COMMITS * ROWS_PER_COMMIT) / seconds)
}

/// Returns C: the time of one durable commit of one row in SQLite, at `synchronous=FULL`.
pub(crate) fn commit(folder: &Path) -> Result<Duration, Failure> {
    let path = folder.join("floor.db");
    let connection = Connection::open(&path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute("create table row (id integer primary key, text blob not null)", [])?;
    let text = [0x2e_u8; 200];
    let taken = median_of(LOOKS * 2, || {
        connection.execute("insert into row (text) values (?1)", [text.as_slice()])?;
        Ok(())
    });
    drop(connection);
    for suffix in ["", "-wal", "-shm"] {
        let left = path.with_file_name(format!("floor.db{suffix}"));
        if left.exists() {
            std::fs::remove_file(left)?;
        }
    }
    taken
}

/// Runs `work` so many times. Returns the median time.
pub(crate) fn median_of(
    times: usize,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        work()?;
        taken.push(started.elapsed());
    }
    taken.sort_unstable();
    taken.get(times / 2).copied().ok_or_else(|| "nothing was measured".into())
}
