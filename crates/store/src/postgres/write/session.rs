//! A session's state changes; a session is forgotten.

use async_trait::async_trait;

use super::Operation;
use crate::SessionState;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use errand_model::Timestamp;

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
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
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
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}
