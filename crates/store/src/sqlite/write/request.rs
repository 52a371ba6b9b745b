//! Requests to the holder of a lease.

use errand_model::run::CallerCommand;
use errand_model::{RunId, Timestamp};
use rusqlite::{Connection, params};

use super::Operation;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{CurrentRow, json};
use crate::{Error, StoreChange};

/// [`crate::Store::request`].
pub(in crate::sqlite) struct Ask {
    pub(in crate::sqlite) run_id: RunId,
    pub(in crate::sqlite) command: CallerCommand,
    pub(in crate::sqlite) now: Timestamp,
}

impl Operation for Ask {
    type Output = i64;

    fn run(&self, connection: &Connection) -> Result<i64, Failure> {
        const SQL: &str = "INSERT INTO requests (run, kind, at_ms) VALUES (?1, ?2, ?3)";
        let current = CurrentRow::of(connection, &self.run_id)?;
        if current.is_over {
            return Err(Error::Sealed { run_id: self.run_id.clone() }.into());
        }
        let command = json(&self.command)?;
        connection.prepare_cached(SQL)?.execute(params![
            current.run,
            command,
            self.now.as_millis()
        ])?;
        Ok(connection.last_insert_rowid())
    }

    fn changes(&self, _: &i64) -> Vec<StoreChange> {
        vec![StoreChange::Asked { run_id: self.run_id.clone() }]
    }
}
