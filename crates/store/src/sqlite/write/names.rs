//! References of journals to blobs and parcels.

use rusqlite::{Connection, params};

use super::Operation;
use crate::names::names_in;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{fingerprint, number};

/// Records the names in an event of a run.
pub(super) fn note(
    connection: &Connection,
    run: i64,
    kind: &str,
    data: &str,
) -> Result<(), Failure> {
    const SQL: &str = "INSERT OR IGNORE INTO names (run, digest, is_parcel) VALUES (?1, ?2, ?3)";
    for name in names_in(kind, data) {
        let (digest, _) = fingerprint(&name.digest);
        connection.prepare_cached(SQL)?.execute(params![run, digest, name.is_parcel])?;
    }
    Ok(())
}

/// [`crate::NameStore::index_names`].
pub(in crate::sqlite) struct IndexNames(pub(in crate::sqlite) u32);

impl Operation for IndexNames {
    type Output = u64;

    fn run(&self, connection: &Connection) -> Result<u64, Failure> {
        const RUNS: &str = "SELECT run FROM unindexed_runs ORDER BY run LIMIT ?1";
        const EVENTS: &str = "SELECT type, data FROM events WHERE run = ?1 \
             AND instr(data, '\"sha256:') > 0";
        const DONE: &str = "DELETE FROM unindexed_runs WHERE run = ?1";
        const LEFT: &str = "SELECT count(*) FROM unindexed_runs";
        let mut statement = connection.prepare_cached(RUNS)?;
        let runs: Vec<i64> =
            statement.query_map([self.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for run in runs {
            let mut statement = connection.prepare_cached(EVENTS)?;
            let mut rows = statement.query([run])?;
            while let Some(row) = rows.next()? {
                let (kind, data): (String, String) = (row.get(0)?, row.get(1)?);
                note(connection, run, &kind, &data)?;
            }
            connection.prepare_cached(DONE)?.execute([run])?;
        }
        let left: i64 = connection.prepare_cached(LEFT)?.query_row([], |row| row.get(0))?;
        Ok(number(left))
    }
}
