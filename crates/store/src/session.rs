//! What outlives the runs of a conversation, and whose turn it is in one.
//!
//! History, cache and rollbacks are projections of journals, brought up to date in the commit that
//! adds the event; the state document is changed first, by comparing and setting its revision, and
//! the event `session.updated` then says so.

use async_trait::async_trait;
use errand_model::{Digest, Payload, RunId, Timestamp};
use serde_json::Value;

use crate::{Error, Namespaces};

/// Messages that a session's history keeps: the newest. A longer one would not fit any model's
/// context; older ones are still in the journals of their runs.
pub const MESSAGES_PER_SESSION: u64 = 10_000;
/// Results of tools that a session keeps: the newest. More than an agent looks up before most
/// have expired.
pub const RESULTS_PER_SESSION: u64 = 1_000;

/// What a [`crate::Store`] knows of sessions.
#[async_trait]
pub trait SessionStore {
    /// Where a run stands in its session. A run that takes no turns, is over or is not there has
    /// nobody ahead of it.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn turn(&self, run_id: &RunId) -> Result<Turn, Error>;

    /// Sessions, the one used last first.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, Error>;

    /// One session with its counts; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_summary(&self, session_id: &str) -> Result<Option<Session>, Error>;

    /// A session's state; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session(&self, session_id: &str) -> Result<Option<SessionState>, Error>;

    /// Changes a session's state, if it still has the revision `seen` (0: it was never written).
    /// Returns the new revision.
    ///
    /// # Errors
    ///
    /// [`Error::Revision`] if it was changed since.
    async fn put_session(&self, session: SessionState, seen: u64) -> Result<u64, Error>;

    /// How many messages a session keeps.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_length(&self, session_id: &str) -> Result<u64, Error>;

    /// The newest messages of a session that have a number below `before` (`None`: of all), at
    /// most `limit`, oldest first.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_messages(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<SessionMessage>, Error>;

    /// What a tool gave for an input, unless that expired by `now`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_result(
        &self,
        lookup: &ResultLookup,
        now: Timestamp,
    ) -> Result<Option<SessionResult>, Error>;

    /// All results of tools that a session has and that did not expire by `now`, newest first, at
    /// most [`RESULTS_PER_SESSION`].
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_results(
        &self,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionResult>, Error>;

    /// The runs whose changes of a session were undone.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn session_rollbacks(&self, session_id: &str) -> Result<Vec<RunId>, Error>;

    /// Forgets a session; its runs stay. With `unused_since` only if it was not used after that.
    /// Returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::SessionInUse`] if a live run has it.
    async fn remove_session(
        &self,
        session_id: &str,
        unused_since: Option<Timestamp>,
    ) -> Result<bool, Error>;
}

/// Where a run stands in its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The run that has the turn; `None`: this one has it, or needs none.
    pub holder: Option<RunId>,
    /// The run directly ahead; the holder itself where nobody else waits in between.
    pub next_ahead: Option<RunId>,
    /// How many runs are ahead, the holder included.
    pub ahead: u32,
}

/// A session and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub session_id: String,
    /// How often its state was changed.
    pub revision: u64,
    /// When a run last began in it or changed it.
    pub used_at: Timestamp,
    /// Messages that are kept.
    pub messages: u64,
    /// Results that are kept, expired ones included until the next is added.
    pub results: u64,
    /// Runs that are in the registry.
    pub runs: u64,
    /// Of these, runs that are not over.
    pub live_runs: u64,
}

/// Which sessions to list.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// Whose sessions: their names are [`errand_model::scoped`].
    pub namespaces: Namespaces,
    /// Only sessions that were not used after that.
    pub unused_since: Option<Timestamp>,
    /// Sessions after that one in the list; `None`: from the first on.
    pub after: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: u32,
}

/// A session's state as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState {
    /// Its name.
    pub session_id: String,
    /// Grows with each change; 0: it was never written.
    pub revision: u64,
    /// The state document.
    pub state: Value,
    /// When the session was changed or used last.
    pub updated_at: Timestamp,
}

/// A message of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionMessage {
    /// Its place in the history; grows.
    pub number: u64,
    /// The run that appended it.
    pub run_id: RunId,
    /// Who says it.
    pub role: String,
    /// What.
    pub content: Payload,
    /// When it was appended.
    pub at: Timestamp,
}

/// Which result is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultLookup {
    /// The session.
    pub session_id: String,
    /// The tool.
    pub tool: String,
    /// The digest of the canonical JSON of what the tool was given.
    pub input_digest: Digest,
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionResult {
    /// The tool.
    pub tool: String,
    /// The digest of the canonical JSON of what the tool was given.
    pub input_digest: Digest,
    /// The run that kept it.
    pub run_id: RunId,
    /// What it gave.
    pub result: Payload,
    /// When it was kept.
    pub at: Timestamp,
    /// From then on it counts no more; `None`: it counts for as long as the session is there.
    pub expires_at: Option<Timestamp>,
}
