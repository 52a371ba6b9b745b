//! [`SessionStore`] for SQLite: each method is one operation or query.

use async_trait::async_trait;
use errand_model::{RunId, Timestamp};

use super::write::{PutSession, RemoveSession};
use super::{Sqlite, read};
use crate::{
    Error, ResultLookup, Session, SessionPage, SessionResult, SessionState, SessionStore,
    SessionTurn, StoredSessionMessage,
};

#[async_trait]
impl SessionStore for Sqlite {
    async fn turn(&self, run_id: &RunId) -> Result<SessionTurn, Error> {
        self.read("looks whose turn it is", |connection| read::turn(connection, run_id))
    }

    async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, Error> {
        self.read("lists sessions", |connection| read::sessions(connection, page))
    }

    async fn session_summary(&self, session_id: &str) -> Result<Option<Session>, Error> {
        self.read("reads a session", |connection| read::session_summary(connection, session_id))
    }

    async fn session(&self, session_id: &str) -> Result<Option<SessionState>, Error> {
        self.read("reads a session", |connection| read::session(connection, session_id))
    }

    async fn put_session(&self, session: SessionState, seen: u64) -> Result<u64, Error> {
        self.write(PutSession { session, seen }).await
    }

    async fn session_length(&self, session_id: &str) -> Result<u64, Error> {
        self.read("counts messages", |connection| read::session_length(connection, session_id))
    }

    async fn session_messages(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredSessionMessage>, Error> {
        self.read("reads a session's history", |connection| {
            read::session_messages(connection, session_id, before, limit)
        })
    }

    async fn session_result(
        &self,
        lookup: &ResultLookup,
        now: Timestamp,
    ) -> Result<Option<SessionResult>, Error> {
        self.read("looks for a tool's result", |connection| {
            read::session_result(connection, lookup, now)
        })
    }

    async fn session_results(
        &self,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionResult>, Error> {
        self.read("reads tools' results", |connection| {
            read::session_results(connection, session_id, now)
        })
    }

    async fn session_rollbacks(&self, session_id: &str) -> Result<Vec<RunId>, Error> {
        self.read("reads a session", |connection| read::session_rollbacks(connection, session_id))
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
