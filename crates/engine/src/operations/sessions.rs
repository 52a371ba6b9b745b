//! Sessions: listed, shown, removed.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use errand_api::session::{SESSION_SCHEMA, SessionDetail, SessionList, SessionSummary};
use errand_model::Timestamp;
use errand_store::SessionPage;

use super::local::{LocalError, LocalOperations};
use crate::{sessions, view};

/// Sessions that are listed at once.
const PAGE: u32 = 500;

/// Place in a list of sessions: where a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    /// Time at which the last session of the page was used.
    pub used_at: Timestamp,
    /// Name of that session.
    pub session_id: String,
}

/// Error: a text is no [`SessionCursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor of sessions is a time and a name")]
pub struct MalformedSessionCursor;

impl FromStr for SessionCursor {
    type Err = MalformedSessionCursor;

    fn from_str(text: &str) -> Result<Self, MalformedSessionCursor> {
        let (at, session_id) = text.split_once('.').ok_or(MalformedSessionCursor)?;
        let at = at.parse().map_err(|_| MalformedSessionCursor)?;
        Ok(Self { used_at: Timestamp::from_millis(at), session_id: session_id.to_owned() })
    }
}

impl fmt::Display for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.used_at.as_millis(), self.session_id)
    }
}

/// Lists, shows and removes sessions.
#[async_trait]
pub trait SessionOperations<E: Send + 'static>: Send + Sync {
    /// Lists sessions after `after`, the one used last first, at most `limit`; with `unused_since`
    /// only those that were not used after that.
    async fn list_sessions(
        &self,
        unused_since: Option<Timestamp>,
        after: Option<SessionCursor>,
        limit: u32,
    ) -> Result<SessionList, E>;

    /// Lists all sessions, the one used last first; with `unused_since` as
    /// [`SessionOperations::list_sessions`].
    async fn all_sessions(
        &self,
        unused_since: Option<Timestamp>,
    ) -> Result<Vec<SessionSummary>, E> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let list = self.list_sessions(unused_since, after, PAGE).await?;
            all.extend(list.sessions);
            after = list.next_cursor.and_then(|cursor| cursor.parse().ok());
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Returns a session with at most `last` messages and runs; `None` if there is none.
    async fn session(&self, session_id: &str, last: u32) -> Result<Option<SessionDetail>, E>;

    /// Removes a session that no live run uses. Returns whether it was there.
    async fn remove_session(&self, session_id: &str) -> Result<bool, E>;

    /// Removes a session unless it was used after `unused_since`, or is in use. Returns whether it
    /// was removed.
    async fn prune_session(&self, session_id: &str, unused_since: Timestamp) -> Result<bool, E>;
}

#[async_trait]
impl<E: LocalError> SessionOperations<E> for LocalOperations {
    async fn list_sessions(
        &self,
        unused_since: Option<Timestamp>,
        after: Option<SessionCursor>,
        limit: u32,
    ) -> Result<SessionList, E> {
        let after = after.map(|after| (after.used_at, self.stored_name(&after.session_id)));
        let namespaces = self.namespaces().clone();
        // An additional session shows that there is another page.
        let page = SessionPage { namespaces, unused_since, after, limit: limit.saturating_add(1) };
        let mut found = self.engine().store().sessions(&page).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        let sessions: Vec<_> = found
            .into_iter()
            .map(|session| {
                let mut summary = view::session_summary(session);
                summary.session_id = self.own_name(&summary.session_id);
                summary
            })
            .collect();
        let last = sessions.last().filter(|_| has_more).map(|last| SessionCursor {
            used_at: last.used_at_ms,
            session_id: last.session_id.clone(),
        });
        let next_cursor = last.map(|cursor| cursor.to_string());
        Ok(SessionList { schema: SESSION_SCHEMA, sessions, next_cursor })
    }

    async fn session(&self, session_id: &str, last: u32) -> Result<Option<SessionDetail>, E> {
        let shown = sessions::show(self.engine(), &self.stored_name(session_id), last).await?;
        Ok(shown.map(|shown| {
            let mut detail = view::session(shown);
            detail.session_id = self.own_name(&detail.session_id);
            detail
        }))
    }

    async fn remove_session(&self, session_id: &str) -> Result<bool, E> {
        Ok(sessions::remove(self.engine(), &self.stored_name(session_id), None).await?)
    }

    async fn prune_session(&self, session_id: &str, unused_since: Timestamp) -> Result<bool, E> {
        let stored_name = self.stored_name(session_id);
        Ok(sessions::prune(self.engine(), &stored_name, unused_since).await?)
    }
}
