//! Removal of runs.

use errand_model::RunId;
use rusqlite::{Connection, OptionalExtension as _};

use super::Operation;
use crate::sqlite::failure::Failure;
use crate::sqlite::journal::Files;
use crate::{Error, Removal};

/// Statements that delete a run by its number, in order.
const STEPS: [&str; 16] = [
    "INSERT OR IGNORE INTO removals (run) VALUES (?1)",
    "DELETE FROM events WHERE run = ?1",
    "DELETE FROM states WHERE run = ?1",
    "DELETE FROM leases WHERE run = ?1",
    "DELETE FROM queue WHERE run = ?1",
    "DELETE FROM requests WHERE run = ?1",
    // Its use stays counted in its agent's days.
    "DELETE FROM usage WHERE run = ?1",
    "DELETE FROM reservations WHERE run = ?1",
    "DELETE FROM session_turns WHERE run = ?1",
    "DELETE FROM dead_letters WHERE run = ?1",
    "DELETE FROM repeats WHERE origin = (SELECT run_id FROM runs WHERE run = ?1)",
    "DELETE FROM questions WHERE run = ?1",
    "DELETE FROM names WHERE run = ?1",
    "DELETE FROM unindexed_runs WHERE run = ?1",
    "DELETE FROM runs WHERE run = ?1",
    "DELETE FROM removals WHERE run = ?1",
];

/// [`crate::Store::remove`].
pub(in crate::sqlite) struct Remove {
    pub(in crate::sqlite) run_id: RunId,
    pub(in crate::sqlite) even_live: Removal,
}

impl Operation for Remove {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), Failure> {
        const FIND: &str = "SELECT run, ended_at_ms IS NOT NULL FROM runs WHERE run_id = ?1";
        // `Current` is not used: a damaged run can be removed too.
        let found: Option<(i64, bool)> = connection
            .prepare_cached(FIND)?
            .query_row([self.run_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((run, is_over)) = found else {
            return Err(Error::NoRun { run_id: self.run_id.clone() }.into());
        };
        if !is_over && self.even_live == Removal::Terminal {
            return Err(Error::Live { run_id: self.run_id.clone() }.into());
        }
        forget(connection, run)
    }

    fn journal(&self, (): &(), files: &mut Files) {
        files.forget(&self.run_id);
    }
}

fn forget(connection: &Connection, run: i64) -> Result<(), Failure> {
    for sql in STEPS {
        connection.prepare_cached(sql)?.execute([run])?;
    }
    Ok(())
}

/// [`crate::Store::remove_ended`].
pub(in crate::sqlite) struct RemoveEnded(pub(in crate::sqlite) Vec<RunId>);

impl Operation for RemoveEnded {
    type Output = u64;

    fn run(&self, connection: &Connection) -> Result<u64, Failure> {
        const FIND: &str = "SELECT run FROM runs WHERE run_id = ?1 AND ended_at_ms IS NOT NULL";
        let mut forgotten = 0;
        for run_id in &self.0 {
            let run: Option<i64> = connection
                .prepare_cached(FIND)?
                .query_row([run_id.as_str()], |row| row.get(0))
                .optional()?;
            let Some(run) = run else { continue };
            forget(connection, run)?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    fn journal(&self, _: &u64, files: &mut Files) {
        for run_id in &self.0 {
            files.forget(run_id);
        }
    }
}
