//! Rows as stored, valid or not, for the check of a registry.

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::{Head, RunId, Timestamp};
use rusqlite::OptionalExtension as _;

use super::row::{head, number};
use super::{Sqlite, read};
use crate::Error;

/// Integrity check with a bounded number of reports.
const INTEGRITY: &str = "PRAGMA integrity_check(100)";

/// A run's rows as stored.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// All events, from the first on.
    pub(crate) events: Vec<Event>,
    /// End of the journal in the run's row; `None` if it cannot be read.
    pub(crate) head: Option<Head>,
    pub(crate) status: String,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) epoch: u64,
    /// The run that `load` returns; `None` if it fails.
    pub(crate) stored: Option<Run>,
}

impl Sqlite {
    /// Returns SQLite's reports of damage to its file; empty if there are none.
    pub(crate) fn integrity_problems(&self) -> Result<Vec<String>, Error> {
        self.read("checks itself", |connection| {
            let mut statement = connection.prepare(INTEGRITY)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            let all = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(all.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// Lists the ids of all runs as stored, oldest first.
    pub(crate) fn run_ids(&self) -> Result<Vec<String>, Error> {
        self.read("lists runs", |connection| {
            let mut statement = connection.prepare("SELECT run_id FROM runs ORDER BY run_id")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
    }

    pub(crate) fn count_sessions(&self) -> Result<u64, Error> {
        self.read("counts sessions", |connection| {
            let sql = "SELECT count(*) FROM sessions";
            Ok(number(connection.query_row(sql, [], |row| row.get(0))?))
        })
    }

    /// Reads the rows of one run; `None` if there is none.
    pub(crate) fn inspect(&self, run_id: &RunId) -> Result<Option<Inspected>, Error> {
        const SQL: &str = "SELECT status, ended_at_ms, epoch, head_seq, head_hash FROM runs \
             WHERE run_id = ?1";
        self.read("looks at a run", |connection| {
            let row = connection
                .query_row(SQL, [run_id.as_str()], |row| {
                    Ok(Inspected {
                        events: Vec::new(),
                        head: head(row.get(3)?, row.get_ref(4)?),
                        status: row.get(0)?,
                        ended_at: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
                        epoch: number(row.get(2)?),
                        stored: None,
                    })
                })
                .optional()?;
            let Some(mut inspected) = row else { return Ok(None) };
            let range = read::Range { from: 0, limit: i64::MAX };
            inspected.events = read::events_after(connection, run_id, range)?;
            inspected.stored = match read::load(connection, run_id) {
                Ok(stored) => stored.map(|stored| stored.run),
                Err(_) => None,
            };
            Ok(Some(inspected))
        })
    }
}
