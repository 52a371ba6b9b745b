//! Changes of a session's state, and removal of a session.

use async_trait::async_trait;
use errand_model::Timestamp;

use super::Operation;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::lock::session_lock;
use crate::postgres::row::{integer, json, number, run_id};
use crate::postgres::text::indexed;
use crate::{Error, SessionState};

/// [`crate::SessionStore::put_session`].
pub(in crate::postgres) struct PutSession {
    pub(in crate::postgres) session: SessionState,
    pub(in crate::postgres) seen: u64,
}

#[async_trait]
impl Operation for PutSession {
    type Output = u64;

    const DOING: &'static str = "changes a session";

    fn locks(&self) -> Vec<String> {
        vec![session_lock(&indexed(&self.session.session_id))]
    }

    async fn run(&self, db: &Db) -> Result<u64, Failure> {
        const REVISION: &str = "SELECT revision FROM sessions WHERE session_id = $1";
        const PUT: &str = "INSERT INTO sessions (session_id, revision, state, updated_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (session_id) DO UPDATE SET \
             revision = excluded.revision, state = excluded.state, \
             updated_at_ms = excluded.updated_at_ms";
        let session = &self.session;
        let session_id = indexed(&session.session_id);
        let found = db.query_first(REVISION, &[&session_id]).await?;
        let found = found.map_or(Ok::<_, Failure>(0), |row| Ok(number(row.try_get(0)?)))?;
        if found != self.seen {
            let session_id = session.session_id.clone();
            return Err(Error::Revision { session_id, seen: self.seen, found }.into());
        }
        let state = json(&session.state)?;
        let at = session.updated_at.as_millis();
        db.execute(PUT, &[&session_id, &integer(found + 1), &state, &at]).await?;
        Ok(found + 1)
    }
}

/// [`crate::SessionStore::remove_session`].
pub(in crate::postgres) struct RemoveSession {
    pub(in crate::postgres) session_id: String,
    pub(in crate::postgres) unused_since: Option<Timestamp>,
}

#[async_trait]
impl Operation for RemoveSession {
    type Output = bool;

    const DOING: &'static str = "removes a session";

    fn locks(&self) -> Vec<String> {
        vec![session_lock(&indexed(&self.session_id))]
    }

    async fn run(&self, db: &Db) -> Result<bool, Failure> {
        const LIVE: &str = "SELECT run_id FROM runs \
             WHERE session_id = $1 AND ended_at_ms IS NULL ORDER BY run LIMIT 1";
        const USED_AT: &str = "SELECT updated_at_ms FROM sessions WHERE session_id = $1 FOR UPDATE";
        const STEPS: [&str; 4] = [
            "DELETE FROM session_messages WHERE session_id = $1",
            "DELETE FROM session_results WHERE session_id = $1",
            "DELETE FROM session_rollbacks WHERE session_id = $1",
            "DELETE FROM sessions WHERE session_id = $1",
        ];
        let session_id = indexed(&self.session_id);
        let used_at = db.query_first(USED_AT, &[&session_id]).await?;
        if let Some(live) = db.query_first(LIVE, &[&session_id]).await? {
            let (session_id, run_id) = (self.session_id.clone(), run_id(live.try_get(0)?)?);
            return Err(Error::SessionInUse { session_id, run_id }.into());
        }
        let Some(used_at) = used_at else { return Ok(false) };
        let used_at: i64 = used_at.try_get(0)?;
        if self.unused_since.is_some_and(|since| used_at > since.as_millis()) {
            return Ok(false);
        }
        let steps: Vec<Step<'_>> =
            STEPS.iter().map(|sql| Step::Execute(sql, vec![&session_id])).collect();
        db.pipeline(&steps).await?;
        Ok(true)
    }
}
