//! Sessions: state that outlives the runs of a conversation, and the turns of runs in it.
//!
//! History, cache and rollbacks are projections of journals, updated in the commit of the event.
//! The state document is changed first, by compare-and-set of its revision; the event
//! `session.updated` then records that.

use async_trait::async_trait;
use errand_model::{Digest, Payload, RunId, Timestamp};
use serde_json::Value;

use crate::{Error, Namespaces};

/// Upper bound on the messages in a session's history: the newest are kept. More would not fit any
/// model's context; older ones are still in the journals of their runs.
pub const MESSAGES_PER_SESSION: u64 = 10_000;
/// Upper bound on the tool results of a session: the newest are kept. An agent looks up fewer
/// before most have expired.
pub const RESULTS_PER_SESSION: u64 = 1_000;

/// Sessions of a [`crate::Store`].
#[async_trait]
pub trait SessionStore {
    /// Returns the place of a run among the turns of its session. No run is ahead of a run that
    /// takes no turns, is over or does not exist.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn turn(&self, run_id: &RunId) -> Result<SessionTurn, Error>;

    /// Lists sessions, the one used last first.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, Error>;

    /// Returns one session with its counts; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_summary(&self, session_id: &str) -> Result<Option<Session>, Error>;

    /// Returns a session's state; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session(&self, session_id: &str) -> Result<Option<SessionState>, Error>;

    /// Changes a session's state, if it still has the revision `seen` (0: it was never written).
    /// Returns the new revision.
    ///
    /// # Errors
    ///
    /// [`Error::Revision`] if it was changed since.
    async fn put_session(&self, session: SessionState, seen: u64) -> Result<u64, Error>;

    /// Returns the number of messages in a session's history.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_length(&self, session_id: &str) -> Result<u64, Error>;

    /// Lists the newest messages of a session with a number below `before` (`None`: of all), at
    /// most `limit`, oldest first.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_messages(
        &self,
        session_id: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredSessionMessage>, Error>;

    /// Looks up the result of a tool for an input, unless it expired by `now`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_result(
        &self,
        lookup: &ResultLookup,
        now: Timestamp,
    ) -> Result<Option<SessionResult>, Error>;

    /// Lists all tool results of a session that have not expired by `now`, newest first, at most
    /// [`RESULTS_PER_SESSION`].
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_results(
        &self,
        session_id: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionResult>, Error>;

    /// Lists the runs whose changes of a session were undone.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn session_rollbacks(&self, session_id: &str) -> Result<Vec<RunId>, Error>;

    /// Removes a session; its runs stay. With `unused_since` only if it was not used after that.
    /// Returns true if it was removed.
    ///
    /// # Errors
    ///
    /// [`Error::SessionInUse`] if a live run uses it.
    async fn remove_session(
        &self,
        session_id: &str,
        unused_since: Option<Timestamp>,
    ) -> Result<bool, Error>;
}

/// The place of a run among the turns of its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTurn {
    /// The run that has the turn; `None`: this one has it, or takes no turns.
    pub holder: Option<RunId>,
    /// The run directly ahead; the holder itself where no other run waits in between.
    pub next_ahead: Option<RunId>,
    /// Number of runs ahead, the holder included.
    pub ahead: u32,
}

/// A session with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Name of the session.
    pub session_id: String,
    /// Number of changes of its state.
    pub revision: u64,
    /// Time at which a run last began in it or changed it.
    pub used_at: Timestamp,
    /// Messages in its history.
    pub messages: u64,
    /// Tool results; expired ones are counted until the next is added.
    pub results: u64,
    /// Runs that are in the registry.
    pub runs: u64,
    /// Runs in the registry that are not over.
    pub live_runs: u64,
}

/// Filter and page of sessions.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// Namespaces of the sessions: their names are [`errand_model::scoped`].
    pub namespaces: Namespaces,
    /// Limits the list to sessions that were not used after this time.
    pub unused_since: Option<Timestamp>,
    /// Sessions after that one in the list; `None`: from the first on.
    pub after: Option<(Timestamp, String)>,
    /// Upper bound on the number of sessions.
    pub limit: u32,
}

/// A session's state as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState {
    /// Name of the session.
    pub session_id: String,
    /// Revision; grows with each change. 0: the state was never written.
    pub revision: u64,
    /// The state document.
    pub state: Value,
    /// Time of the last change or use.
    pub updated_at: Timestamp,
}

/// A message of a session with its payload, which may be a blob; published forms have the content.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSessionMessage {
    /// Place in the history; grows.
    pub number: u64,
    /// The run that appended it.
    pub run_id: RunId,
    /// Role of the speaker.
    pub role: String,
    /// Content.
    pub content: Payload,
    /// Time at which it was appended.
    pub at: Timestamp,
}

/// Key of a tool result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultLookup {
    /// The session.
    pub session_id: String,
    /// The tool.
    pub tool: String,
    /// The digest of the canonical JSON of the tool's input.
    pub input_digest: Digest,
}

/// A tool's result.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionResult {
    /// The tool.
    pub tool: String,
    /// The digest of the canonical JSON of the tool's input.
    pub input_digest: Digest,
    /// The run that stored it.
    pub run_id: RunId,
    /// The result.
    pub result: Payload,
    /// Time at which it was stored.
    pub at: Timestamp,
    /// Time from which it is ignored; `None`: it lasts as long as the session.
    pub expires_at: Option<Timestamp>,
}
