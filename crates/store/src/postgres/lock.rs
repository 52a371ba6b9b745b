//! Advisory locks by name: the statement that takes them, and their names.

use super::text::indexed;

/// Takes locks by name, in the order of the names; they end with the transaction.
pub(super) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest($1::text[]) AS name";

/// The name of the lock on a run.
pub(super) fn run_lock(run_id: &errand_model::RunId) -> String {
    run_id.as_str().to_owned()
}

/// The name of the lock on a session's turns and history.
pub(super) fn session_lock(session_id: &str) -> String {
    format!("session {}", indexed(session_id))
}

/// The name of the lock on an agent's day.
pub(super) fn day_lock(agent: &str) -> String {
    format!("day {}", indexed(agent))
}

/// The name of the lock on an idempotency key.
pub(super) fn key_lock(namespace: Option<&str>, key: &str) -> String {
    format!("key {}/{}", namespace.unwrap_or_default(), indexed(key))
}
