//! Changes of a session's state, and removal of a session.

use errand_model::{RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Operation;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, integer, json, number};
use crate::{Error, SessionState};

/// [`crate::SessionStore::put_session`].
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

/// [`crate::SessionStore::remove_session`].
pub(in crate::sqlite) struct RemoveSession {
    pub(in crate::sqlite) session_id: String,
    pub(in crate::sqlite) unused_since: Option<Timestamp>,
}

impl Operation for RemoveSession {
    type Output = bool;

    fn run(&self, connection: &Connection) -> Result<bool, Failure> {
        const LIVE: &str = "SELECT run_id FROM runs \
             WHERE session_id = ?1 AND ended_at_ms IS NULL ORDER BY run LIMIT 1";
        const USED_AT: &str = "SELECT updated_at_ms FROM sessions WHERE session_id = ?1";
        const STEPS: [&str; 4] = [
            "DELETE FROM session_messages WHERE session_id = ?1",
            "DELETE FROM session_results WHERE session_id = ?1",
            "DELETE FROM session_rollbacks WHERE session_id = ?1",
            "DELETE FROM sessions WHERE session_id = ?1",
        ];
        let live: Option<String> = connection
            .prepare_cached(LIVE)?
            .query_row([&self.session_id], |row| row.get(0))
            .optional()?;
        if let Some(run_id) = live {
            let run_id =
                RunId::try_from(run_id).map_err(|error| damaged(&error.text, "its id is none"))?;
            return Err(Error::SessionInUse { session_id: self.session_id.clone(), run_id }.into());
        }
        let used_at: Option<i64> = connection
            .prepare_cached(USED_AT)?
            .query_row([&self.session_id], |row| row.get(0))
            .optional()?;
        let Some(used_at) = used_at else { return Ok(false) };
        if self.unused_since.is_some_and(|since| used_at > since.as_millis()) {
            return Ok(false);
        }
        for sql in STEPS {
            connection.prepare_cached(sql)?.execute([&self.session_id])?;
        }
        Ok(true)
    }
}
