//! API keys and the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use crate::audit::AuditEntry;
use crate::error_code::ErrorCode;

/// Routes for administrators of a namespace.
pub const AREA: Area = Area {
    name: "access",
    says: "API keys and the audit log of the caller's namespace.",
    routes: &[
        Route::new("list_keys", Method::Get, "/v1/keys", KeyScope::Admin)
            .says("The keys of the namespace, the oldest first, without their secrets.")
            .answers(&[Answer::json::<KeyList>(200, "All of them.")]),
        Route::new("create_key", Method::Post, "/v1/keys", KeyScope::Admin)
            .says("Makes a key of the namespace. The answer is the only place where it is shown.")
            .takes(Body::json::<KeyRequest>())
            .answers(&[Answer::json::<NewKey>(201, "The key is made.")])
            .errors(&[ErrorCode::KeyConflict, ErrorCode::KeyNotMade]),
        Route::new("revoke_key", Method::Delete, "/v1/keys/{key}", KeyScope::Admin)
            .says("Takes a key back, by its public part or its name. Servers refuse it within seconds.")
            .answers(&[Answer::json::<KeyRecord>(200, "The key is revoked.")])
            .errors(&[ErrorCode::KeyNotFound]),
        Route::new("list_audit", Method::Get, "/v1/audit", KeyScope::Admin)
            .says("Lists actions of the namespace's administrators, newest first, a page at a time.")
            .query::<AuditQuery>()
            .answers(&[Answer::json::<AuditPage>(200, "A page.")]),
    ],
};

/// A text without control characters that is not blank.
const PRINTED: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u009f\\s][^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// A key that is wanted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Name of the key, unique in its namespace.
    #[schemars(length(min = 1, max = 100), extend("pattern" = PRINTED))]
    pub name: String,
    /// Scopes of the key; at most those of the caller's own key.
    #[schemars(length(min = 1))]
    pub scopes: Vec<KeyScope>,
    /// Validity in seconds; absent: until it is revoked.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3_155_760_000_u64))]
    pub expires_in_seconds: Option<u64>,
}

/// A key, without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyRecord {
    /// The public part: the eight characters after `errand_`.
    pub public: String,
    /// Name of the key.
    pub name: String,
    /// Namespace of the key.
    pub namespace: String,
    /// Scopes of the key.
    pub scopes: Vec<KeyScope>,
    /// Time of its creation, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// From when on it is not taken any more; `null`: never.
    pub expires_at_ms: Option<i64>,
}

/// All keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct KeyList {
    /// The oldest first.
    pub keys: Vec<KeyRecord>,
}

/// A key that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NewKey {
    /// The key itself. It is not shown again.
    pub key: String,
    /// Stored record of the key.
    pub record: KeyRecord,
}

/// Selection of audit entries.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Entries on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of the audit log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// Cursor of the next page; `null` on the last.
    pub next_cursor: Option<String>,
}
