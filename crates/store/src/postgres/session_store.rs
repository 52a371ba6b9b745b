//! [`SessionStore`] for PostgreSQL: each method is one operation or query.

use async_trait::async_trait;
use errand_model::{RunId, Timestamp};

use super::write::{PutSession, RemoveSession};
use super::{Postgres, ask, read};
use crate::{
    Error, ResultLookup, Session, SessionPage, SessionResult, SessionState, SessionStore,
    SessionTurn, StoredSessionMessage,
};

#[async_trait]
impl SessionStore for Postgres {
    async fn turn(&self, run_id: &RunId) -> Result<SessionTurn, Error> {
        ask!(self, "looks whose turn it is", |db| read::turn(db, run_id))
    }

    async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, Error> {
        ask!(self, "lists sessions", |db| read::sessions(db, page))
    }

    async fn session_summary(&self, session_id: &str) -> Result<Option<Session>, Error> {
        ask!(self, "reads a session", |db| read::session_summary(db, session_id))
    }

    async fn session(&self, session_id: &str) -> Result<Option<SessionState>, Error> {
        ask!(self, "reads a session", |db| read::session(db, session_id))
    }

    async fn put_session(&self, session: SessionState, seen: u64) -> Result<u64, Error> {
        self.write(PutSession { session, seen }).await
    }

    async fn session_length(&self, session_id: &str) -> Result<u64, Error> {
        ask!(self, "counts messages", |db| read::session_length(db, session_id))
    }

    async fn session_messages(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredSessionMessage>, Error> {
        ask!(self, "reads a session's history", |db| {
            read::session_messages(db, session_id, before, limit)
        })
    }

    async fn session_result(
        &self,
        lookup: &ResultLookup,
        now: Timestamp,
    ) -> Result<Option<SessionResult>, Error> {
        ask!(self, "looks for a tool's result", |db| read::session_result(db, lookup, now))
    }

    async fn session_results(
        &self,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionResult>, Error> {
        ask!(self, "reads tools' results", |db| read::session_results(db, session_id, now))
    }

    async fn session_rollbacks(&self, session_id: &str) -> Result<Vec<RunId>, Error> {
        ask!(self, "reads a session", |db| read::session_rollbacks(db, session_id))
    }

    async fn remove_session(
        &self,
        session_id: &str,
        unused_since: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let session_id = session_id.to_owned();
        self.write(RemoveSession { session_id, unused_since }).await
    }
}
