//! Sessions, which outlive the runs of a conversation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Answer, Area, Body, Header, KeyScope, Method, Route};
use crate::error_code::ErrorCode;
use crate::session::{SessionDetail, SessionList, StoredMessage};

/// The revision of a state.
const ETAG: Header = Header { name: "ETag", says: "The revision, in quotes." };
/// Header with the path of the created session.
const LOCATION: Header = Header { name: "Location", says: "The path of the session." };

/// Routes of sessions.
pub const AREA: Area = Area {
    name: "sessions",
    says: "Sessions, which outlive the runs of a conversation: history, state, results of tools.",
    routes: &[
        Route::new("list_sessions", Method::Get, "/v1/sessions", KeyScope::RunsRead)
            .says("Lists sessions, the one used last first.")
            .query::<SessionsQuery>()
            .answers(&[Answer::json::<SessionList>(200, "A page of them.")]),
        Route::new("create_session", Method::Post, "/v1/sessions", KeyScope::RunsWrite)
            .says("Makes a session; one is also made by its first run.")
            .takes(Body::maybe_json::<CreateSession>())
            .answers(&[Answer::json::<State>(201, "The session is made.").with(&[LOCATION])])
            .errors(&[ErrorCode::NameInvalid, ErrorCode::SessionConflict]),
        Route::new("get_session", Method::Get, "/v1/sessions/{session_id}", KeyScope::RunsRead)
            .says("The whole of a session.")
            .query::<SessionQuery>()
            .answers(&[Answer::json::<SessionDetail>(200, "History, state, results, runs.")])
            .errors(&[ErrorCode::SessionNotFound]),
        Route::new(
            "delete_session",
            Method::Delete,
            "/v1/sessions/{session_id}",
            KeyScope::RunsWrite,
        )
        .says("Forgets a session; its runs are kept.")
        .query::<ForgetQuery>()
        .answers(&[Answer::empty(204, "The session is removed.")])
        .errors(&[ErrorCode::SessionNotFound, ErrorCode::SessionBusy]),
        Route::new(
            "get_session_history",
            Method::Get,
            "/v1/sessions/{session_id}/history",
            KeyScope::RunsRead,
        )
        .says("The messages of a session, a page at a time, from the newest back.")
        .query::<HistoryQuery>()
        .answers(&[Answer::json::<History>(200, "A page, oldest first.")])
        .errors(&[ErrorCode::SessionNotFound]),
        Route::new(
            "get_session_state",
            Method::Get,
            "/v1/sessions/{session_id}/state",
            KeyScope::RunsRead,
        )
        .says("The state document of a session.")
        .answers(&[Answer::json::<State>(200, "The state and its revision.").with(&[ETAG])])
        .errors(&[ErrorCode::SessionNotFound]),
        Route::new(
            "put_session_state",
            Method::Put,
            "/v1/sessions/{session_id}/state",
            KeyScope::RunsWrite,
        )
        .says("Replaces the state document, if it still has the revision that was seen.")
        .takes(Body::json::<PutState>())
        .answers(&[Answer::json::<State>(200, "The state and its new revision.").with(&[ETAG])])
        .errors(&[ErrorCode::SessionConflict, ErrorCode::NameInvalid]),
    ],
};

/// Selection of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsQuery {
    /// Only sessions that were not used after that: epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since_ms: Option<i64>,
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^-?[0-9]{1,15}\\."))]
    pub cursor: Option<String>,
}

/// Request for a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// Its name; one is made up unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub session_id: Option<String>,
    /// Its state document.
    #[serde(default)]
    #[schemars(extend("x-nullable" = true))]
    pub state: Value,
}

/// Selection of a session's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// The greatest number of messages and of runs, the newest; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub last: Option<u32>,
}

/// Options of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetQuery {
    /// Only if it was not used after that: epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since_ms: Option<i64>,
}

/// Selection of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only messages with a smaller number: `next_before` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
}

/// A page of messages, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The messages.
    pub messages: Vec<StoredMessage>,
    /// Value of `before` for older messages; absent at the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// The state document of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Its name.
    pub session_id: String,
    /// Grows with each change; 0: it was never written.
    pub revision: u64,
    /// The document; `null`: there is none.
    pub state: Value,
}

/// A new state document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutState {
    /// The document.
    #[schemars(extend("x-nullable" = true))]
    pub state: Value,
    /// The revision that was seen; 0: none was there.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub revision: u64,
}
