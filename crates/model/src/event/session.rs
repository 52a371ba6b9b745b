//! Events about the conversation that a run belongs to.
//!
//! The journal of the run that changed a session has the change: the session can be rebuilt.

use serde::{Deserialize, Serialize};

use super::SessionEvent;
use crate::{Digest, Payload, RunId, Timestamp};

/// `session.loaded`: what the attempt found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionLoaded {
    /// The session.
    pub session_id: String,
    /// Revision of the state document; 0: it was never written.
    pub revision: u64,
    /// Number of messages.
    pub messages: u64,
    /// The state document; `None`: it was never written.
    pub state: Option<Payload>,
}

/// `session.updated`: the state document was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionUpdated {
    /// The session.
    pub session_id: String,
    /// Its revision from then on.
    pub revision: u64,
    /// The whole document.
    pub state: Payload,
}

/// `session.appended`: the history grew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionAppended {
    /// The session.
    pub session_id: String,
    /// In order. Never empty.
    pub messages: Vec<SessionMessage>,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// `user`, `assistant`, `system`, `tool`, or the agent's own word.
    pub role: String,
    /// Content of the message.
    pub content: Payload,
}

/// `session.cached`: the result of a tool is kept for the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionCached {
    /// The session.
    pub session_id: String,
    /// The tool.
    pub tool: String,
    /// Digest of the tool's input as canonical JSON.
    pub input_digest: Digest,
    /// Result of the tool.
    pub result: Payload,
    /// Not served from then on; `None`: for as long as the session is.
    pub expires_at_ms: Option<Timestamp>,
}

/// `session.rolled_back`: what other runs changed in the session is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRolledBack {
    /// The session.
    pub session_id: String,
    /// Runs whose changes were undone.
    pub run_ids: Vec<RunId>,
}

impl<'a> SessionEvent<'a> {
    /// Returns the id of the session that the event is about.
    pub fn session_id(self) -> &'a str {
        match self {
            Self::Loaded(loaded) => &loaded.session_id,
            Self::Updated(updated) => &updated.session_id,
            Self::Appended(appended) => &appended.session_id,
            Self::Cached(cached) => &cached.session_id,
            Self::RolledBack(rolled_back) => &rolled_back.session_id,
        }
    }
}
