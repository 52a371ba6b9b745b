//! Projection of events on sessions: history, results, rollbacks.
//!
//! Commits of events and the rebuild of a database use one function.

use errand_model::event::{
    Event, EventBody, EventGroup, SessionAppended, SessionCached, SessionEvent, SessionRolledBack,
};
use errand_model::{RunId, Timestamp};
use rusqlite::{Connection, params};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, integer, json};
use crate::{MESSAGES_PER_SESSION, RESULTS_PER_SESSION};

/// Prefix of the types of all these events.
const PREFIX: &str = "session.";

/// Run and time of an event.
#[derive(Clone, Copy)]
struct Context<'a> {
    run_id: &'a RunId,
    at: Timestamp,
}

/// Updates the projections with events that were just written.
pub(in crate::sqlite) fn project(connection: &Connection, events: &[Event]) -> Result<(), Failure> {
    for event in events.iter().filter(|event| event.kind.starts_with(PREFIX)) {
        let body =
            event.body().map_err(|error| damaged(event.run_id.as_str(), error.to_string()))?;
        let context = Context { run_id: &event.run_id, at: event.at };
        let EventGroup::Session(event) = body.group() else { continue };
        match event {
            SessionEvent::Loaded(loaded) => touch(connection, context, &loaded.session_id)?,
            // The state itself was written before the event was made.
            SessionEvent::Updated(updated) => touch(connection, context, &updated.session_id)?,
            SessionEvent::Appended(appended) => append(connection, context, appended)?,
            SessionEvent::Cached(cached) => keep(connection, context, cached)?,
            SessionEvent::RolledBack(rolled_back) => roll_back(connection, context, rolled_back)?,
        }
    }
    Ok(())
}

/// Returns the session that an event is about; `None` for other events.
pub(in crate::sqlite) fn session_of(body: &EventBody) -> Option<&str> {
    let EventGroup::Session(event) = body.group() else { return None };
    Some(event.session_id())
}

/// Creates a missing session, and notes its use.
fn touch(connection: &Connection, context: Context<'_>, session_id: &str) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO sessions (session_id, revision, state, updated_at_ms) \
         VALUES (?1, 0, 'null', ?2) \
         ON CONFLICT (session_id) DO UPDATE SET updated_at_ms = max(updated_at_ms, ?2)";
    connection.prepare_cached(SQL)?.execute(params![session_id, context.at.as_millis()])?;
    Ok(())
}

/// Returns true if the run was rolled back already: a rebuild may get the rollback first.
fn is_undone(connection: &Connection, context: Context<'_>) -> Result<bool, Failure> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM session_rollbacks WHERE run_id = ?1)";
    let run_id = context.run_id.as_str();
    Ok(connection.prepare_cached(SQL)?.query_row([run_id], |row| row.get(0))?)
}

fn append(
    connection: &Connection,
    context: Context<'_>,
    appended: &SessionAppended,
) -> Result<(), Failure> {
    const LAST: &str =
        "SELECT coalesce(max(number), 0) FROM session_messages WHERE session_id = ?1";
    const INSERT: &str = "INSERT INTO session_messages \
         (session_id, number, run_id, role, content, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    const FORGET: &str = "DELETE FROM session_messages WHERE session_id = ?1 AND number <= ?2";
    let session_id = &appended.session_id;
    touch(connection, context, session_id)?;
    if is_undone(connection, context)? {
        return Ok(());
    }
    let mut number: i64 =
        connection.prepare_cached(LAST)?.query_row([session_id], |row| row.get(0))?;
    let mut insert = connection.prepare_cached(INSERT)?;
    for message in &appended.messages {
        number += 1;
        insert.execute(params![
            session_id,
            number,
            context.run_id.as_str(),
            message.role,
            json(&message.content)?,
            context.at.as_millis()
        ])?;
    }
    let oldest = number - integer(MESSAGES_PER_SESSION);
    if oldest > 0 {
        connection.prepare_cached(FORGET)?.execute(params![session_id, oldest])?;
    }
    Ok(())
}

fn keep(
    connection: &Connection,
    context: Context<'_>,
    cached: &SessionCached,
) -> Result<(), Failure> {
    const EXPIRED: &str =
        "DELETE FROM session_results WHERE session_id = ?1 AND expires_at_ms <= ?2";
    // The last result of another run stays, since this run may be rolled back.
    const OLDER: &str = "DELETE FROM session_results \
         WHERE session_id = ?1 AND tool = ?2 AND input_digest = ?3 AND (run_id = ?4 OR id < \
         (SELECT max(id) FROM session_results WHERE session_id = ?1 AND tool = ?2 \
         AND input_digest = ?3 AND run_id <> ?4))";
    const INSERT: &str = "INSERT INTO session_results \
         (session_id, tool, input_digest, run_id, result, at_ms, expires_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    const TOO_MANY: &str = "DELETE FROM session_results WHERE session_id = ?1 AND id <= \
         (SELECT id FROM session_results WHERE session_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    let (session_id, tool) = (&cached.session_id, &cached.tool);
    let (digest, run_id) = (cached.input_digest.as_str(), context.run_id.as_str());
    let at = context.at.as_millis();
    touch(connection, context, session_id)?;
    if is_undone(connection, context)? {
        return Ok(());
    }
    connection.prepare_cached(EXPIRED)?.execute(params![session_id, at])?;
    connection.prepare_cached(OLDER)?.execute(params![session_id, tool, digest, run_id])?;
    connection.prepare_cached(INSERT)?.execute(params![
        session_id,
        tool,
        digest,
        run_id,
        json(&cached.result)?,
        at,
        cached.expires_at_ms.map(Timestamp::as_millis)
    ])?;
    connection
        .prepare_cached(TOO_MANY)?
        .execute(params![session_id, integer(RESULTS_PER_SESSION)])?;
    Ok(())
}

fn roll_back(
    connection: &Connection,
    context: Context<'_>,
    rolled_back: &SessionRolledBack,
) -> Result<(), Failure> {
    const NOTE: &str = "INSERT OR IGNORE INTO session_rollbacks (run_id, session_id, by_run_id) \
         VALUES (?1, ?2, ?3)";
    const UNDO: [&str; 2] = [
        "DELETE FROM session_messages WHERE session_id = ?1 AND run_id = ?2",
        "DELETE FROM session_results WHERE session_id = ?1 AND run_id = ?2",
    ];
    let session_id = &rolled_back.session_id;
    touch(connection, context, session_id)?;
    for undone in &rolled_back.run_ids {
        connection.prepare_cached(NOTE)?.execute(params![
            undone.as_str(),
            session_id,
            context.run_id.as_str()
        ])?;
        for sql in UNDO {
            connection.prepare_cached(sql)?.execute(params![session_id, undone.as_str()])?;
        }
    }
    Ok(())
}
