//! Sessions of a server.

use async_trait::async_trait;
use errand_api::error_code::ErrorCode::{SessionBusy, SessionNotFound};
use errand_api::session::{SessionDetail, SessionList};
use errand_engine::operations::{SessionCursor, SessionOperations};
use errand_model::Timestamp;
use reqwest::Method;

use super::Remote;
use crate::failure::Failure;

#[async_trait]
impl SessionOperations<Failure> for Remote {
    async fn list_sessions(
        &self,
        unused_since: Option<Timestamp>,
        after: Option<SessionCursor>,
        limit: u32,
    ) -> Result<SessionList, Failure> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(unused_since.map(|at| ("unused_since_ms", at.as_millis().to_string())));
        query.extend(after.map(|after| ("cursor", after.to_string())));
        self.query(&["sessions"], &query).await
    }

    async fn session(&self, session_id: &str, last: u32) -> Result<Option<SessionDetail>, Failure> {
        let query = [("last", last.to_string())];
        match self.query(&["sessions", session_id], &query).await {
            Ok(detail) => Ok(Some(detail)),
            Err(failure) if failure.code() == SessionNotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn remove_session(&self, session_id: &str) -> Result<bool, Failure> {
        match self.send(self.request(Method::DELETE, &["sessions", session_id])).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code() == SessionNotFound => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn prune_session(
        &self,
        session_id: &str,
        unused_since: Timestamp,
    ) -> Result<bool, Failure> {
        let request = self.request(Method::DELETE, &["sessions", session_id]);
        let request = request.query(&[("unused_since_ms", unused_since.as_millis().to_string())]);
        match self.send(request).await {
            Ok(_) => Ok(true),
            Err(failure) if matches!(failure.code(), SessionBusy | SessionNotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}
