//! A session's state changes.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Operation;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{integer, json, number};
use crate::{Error, SessionState};

/// [`crate::Store::put_session`].
pub(in crate::sqlite) struct PutSession {
    pub(in crate::sqlite) session: SessionState,
    pub(in crate::sqlite) seen: u64,
}

impl Operation for PutSession {
    type Output = u64;

    fn run(&self, connection: &Connection) -> Result<u64, Failure> {
        const REVISION: &str = "SELECT revision FROM sessions WHERE session_id = ?1";
        const PUT: &str = "INSERT OR REPLACE INTO sessions \
             (session_id, revision, state, updated_at_ms) VALUES (?1, ?2, ?3, ?4)";
        let session = &self.session;
        let found: Option<i64> = connection
            .prepare_cached(REVISION)?
            .query_row([&session.session_id], |row| row.get(0))
            .optional()?;
        let found = found.map_or(0, number);
        if found != self.seen {
            let session_id = session.session_id.clone();
            return Err(Error::Revision { session_id, seen: self.seen, found }.into());
        }
        let state = json(&session.state)?;
        connection.prepare_cached(PUT)?.execute(params![
            session.session_id,
            integer(found + 1),
            state,
            session.updated_at.as_millis()
        ])?;
        Ok(found + 1)
    }
}
