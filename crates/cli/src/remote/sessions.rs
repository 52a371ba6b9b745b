//! Sessions, and what calls used.

use errand_api::session::{SessionDetail, SessionList, SessionSummary};
use errand_api::usage::Usage;
use errand_model::price::Day;
use errand_model::{RunId, Timestamp};
use reqwest::Method;

use super::Remote;
use crate::failure::Failure;

/// Which sums are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsageAsk<'a> {
    /// A row for each of these, as it was typed.
    pub(crate) by: &'a str,
    /// Only runs of that agent.
    pub(crate) agent: Option<&'a str>,
    /// Only that run.
    pub(crate) run_id: Option<&'a RunId>,
    /// The first and the last day.
    pub(crate) days: (Option<Day>, Option<Day>),
}

impl Remote {
    /// All sessions, the one used last first; only those that were not used after that.
    pub(crate) async fn sessions(
        &self,
        unused_since: Option<Timestamp>,
    ) -> Result<Vec<SessionSummary>, Failure> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", "500".to_owned())];
            query.extend(unused_since.map(|at| ("unused_since_ms", at.as_millis().to_string())));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: SessionList = self.query(&["sessions"], &query).await?;
            found.extend(page.sessions);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// One session with at most `last` messages and runs.
    pub(crate) async fn session(
        &self,
        session_id: &str,
        last: u32,
    ) -> Result<SessionDetail, Failure> {
        self.query(&["sessions", session_id], &[("last", last.to_string())]).await
    }

    /// Forgets a session; with `unused_since` only if it was not used after that.
    pub(crate) async fn remove_session(
        &self,
        session_id: &str,
        unused_since: Option<Timestamp>,
    ) -> Result<(), Failure> {
        let mut query = Vec::new();
        query.extend(unused_since.map(|at| ("unused_since_ms", at.as_millis().to_string())));
        self.send(self.request(Method::DELETE, &["sessions", session_id]).query(&query)).await?;
        Ok(())
    }

    /// The same; one that is used, or gone, is no failure. Returns whether it was removed.
    pub(crate) async fn prune_session(
        &self,
        session_id: &str,
        unused_since: Timestamp,
    ) -> Result<bool, Failure> {
        use errand_api::error_code::ErrorCode::{SessionBusy, SessionNotFound};
        match self.remove_session(session_id, Some(unused_since)).await {
            Ok(()) => Ok(true),
            Err(failure) if matches!(failure.code(), SessionBusy | SessionNotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Sums of what calls used.
    pub(crate) async fn usage(&self, ask: &UsageAsk<'_>) -> Result<Usage, Failure> {
        let mut query = vec![("by", ask.by.to_owned())];
        query.extend(ask.agent.map(|agent| ("agent", agent.to_owned())));
        query.extend(ask.run_id.map(|run_id| ("run_id", run_id.to_string())));
        query.extend(ask.days.0.map(|day| ("since", day.to_string())));
        query.extend(ask.days.1.map(|day| ("until", day.to_string())));
        self.query(&["usage"], &query).await
    }
}
