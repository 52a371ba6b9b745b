//! Sessions: turns, state, history, results.

use errand_model::{RunId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use serde::de::DeserializeOwned;

use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, integer, number};
use crate::{
    Namespaces, RESULTS_PER_SESSION, ResultLookup, Session, SessionPage, SessionResult,
    SessionState, SessionTurn, StoredSessionMessage,
};

/// See [`crate::SessionStore::turn`].
pub(in crate::sqlite) fn turn(
    connection: &Connection,
    run_id: &RunId,
) -> Result<SessionTurn, Failure> {
    const OWN: &str = "SELECT run, session_id FROM session_turns \
         WHERE run = (SELECT run FROM runs WHERE run_id = ?1) AND has_begun = 0";
    // A run that has begun keeps the turn; the others follow in the order of their admission.
    const AHEAD: &str = "FROM session_turns t JOIN runs r ON r.run = t.run \
         WHERE t.session_id = ?1 AND (t.has_begun = 1 OR t.run < ?2)";
    let own: Option<(i64, String)> = connection
        .prepare_cached(OWN)?
        .query_row([run_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((run, session_id)) = own else { return Ok(SessionTurn::default()) };
    let one = |order: &str| -> Result<Option<RunId>, Failure> {
        let sql = format!("SELECT r.run_id {AHEAD} ORDER BY {order} LIMIT 1");
        let found: Option<String> = connection
            .prepare_cached(&sql)?
            .query_row(params![session_id, run], |row| row.get(0))
            .optional()?;
        found.map(parse_id).transpose()
    };
    let ahead = connection
        .prepare_cached(&format!("SELECT count(*) {AHEAD}"))?
        .query_row(params![session_id, run], |row| row.get(0))?;
    Ok(SessionTurn {
        holder: one("t.has_begun DESC, t.run")?,
        next_ahead: one("t.has_begun, t.run DESC")?,
        ahead,
    })
}

fn parse_id(text: String) -> Result<RunId, Failure> {
    RunId::try_from(text).map_err(|error| damaged(&error.text, "its id is none").into())
}

/// Parses JSON that was stored for a session.
fn parse<T: DeserializeOwned>(session_id: &str, what: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        damaged("", format!("the {what} of session {session_id:?}: {error}")).into()
    })
}

/// Reads a session's state; `None` if there is none.
pub(in crate::sqlite) fn session(
    connection: &Connection,
    session_id: &str,
) -> Result<Option<SessionState>, Failure> {
    const SQL: &str = "SELECT revision, state, updated_at_ms FROM sessions WHERE session_id = ?1";
    let found: Option<(i64, String, i64)> = connection
        .prepare_cached(SQL)?
        .query_row([session_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((revision, state, updated_at)) = found else {
        return Ok(None);
    };
    Ok(Some(SessionState {
        session_id: session_id.to_owned(),
        revision: number(revision),
        state: parse(session_id, "state", &state)?,
        updated_at: Timestamp::from_millis(updated_at),
    }))
}

const SUMMARY: &str = "SELECT s.session_id, s.revision, s.updated_at_ms, \
     (SELECT count(*) FROM session_messages m WHERE m.session_id = s.session_id), \
     (SELECT count(*) FROM session_results c WHERE c.session_id = s.session_id), \
     (SELECT count(*) FROM runs r WHERE r.session_id = s.session_id), \
     (SELECT count(*) FROM runs r WHERE r.session_id = s.session_id AND r.ended_at_ms IS NULL) \
     FROM sessions s";

fn summary(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        session_id: row.get(0)?,
        revision: number(row.get(1)?),
        used_at: Timestamp::from_millis(row.get(2)?),
        messages: number(row.get(3)?),
        results: number(row.get(4)?),
        runs: number(row.get(5)?),
        live_runs: number(row.get(6)?),
    })
}

/// See [`crate::SessionStore::session_summary`].
pub(in crate::sqlite) fn session_summary(
    connection: &Connection,
    session_id: &str,
) -> Result<Option<Session>, Failure> {
    let sql = format!("{SUMMARY} WHERE s.session_id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([session_id], summary).optional()?)
}

/// See [`crate::SessionStore::sessions`].
pub(in crate::sqlite) fn sessions(
    connection: &Connection,
    page: &SessionPage,
) -> Result<Vec<Session>, Failure> {
    let (mut conditions, mut values) = (vec!["1 = 1"], Vec::<Value>::new());
    if let Some(since) = page.unused_since {
        conditions.push("s.updated_at_ms <= ?");
        values.push(since.as_millis().into());
    }
    match &page.namespaces {
        Namespaces::All => {}
        Namespaces::One(None) => conditions.push("instr(s.session_id, '/') = 0"),
        Namespaces::One(Some(namespace)) => {
            conditions.push("substr(s.session_id, 1, length(?) + 1) = ? || '/'");
            values.extend([namespace.clone().into(), namespace.clone().into()]);
        }
    }
    if let Some((at, session_id)) = &page.after {
        conditions.push("(s.updated_at_ms, s.session_id) < (?, ?)");
        values.push(at.as_millis().into());
        values.push(session_id.clone().into());
    }
    let sql = format!(
        "{SUMMARY} WHERE {} ORDER BY s.updated_at_ms DESC, s.session_id DESC LIMIT {}",
        conditions.join(" AND "),
        page.limit
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), summary)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`crate::SessionStore::session_length`].
pub(in crate::sqlite) fn session_length(
    connection: &Connection,
    session_id: &str,
) -> Result<u64, Failure> {
    const SQL: &str = "SELECT count(*) FROM session_messages WHERE session_id = ?1";
    let count = connection.prepare_cached(SQL)?.query_row([session_id], |row| row.get(0))?;
    Ok(number(count))
}

/// See [`crate::SessionStore::session_messages`].
pub(in crate::sqlite) fn session_messages(
    connection: &Connection,
    session_id: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredSessionMessage>, Failure> {
    const SQL: &str = "SELECT number, run_id, role, content, at_ms FROM session_messages \
         WHERE session_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(SQL)?;
    let before = before.map_or(i64::MAX, integer);
    let mut rows = statement.query(params![session_id, before, limit])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let content: String = row.get(3)?;
        messages.push(StoredSessionMessage {
            number: number(row.get(0)?),
            run_id: parse_id(row.get(1)?)?,
            role: row.get(2)?,
            content: parse(session_id, "history", &content)?,
            at: Timestamp::from_millis(row.get(4)?),
        });
    }
    messages.reverse();
    Ok(messages)
}

const RESULT: &str =
    "SELECT tool, input_digest, run_id, result, at_ms, expires_at_ms FROM session_results c";

fn result(session_id: &str, row: &Row<'_>) -> Result<SessionResult, Failure> {
    let digest: String = row.get(1)?;
    let input_digest = digest.try_into().map_err(|error: errand_model::MalformedDigest| {
        damaged("", format!("the cache of session {session_id:?}: {error}"))
    })?;
    let result: String = row.get(3)?;
    Ok(SessionResult {
        tool: row.get(0)?,
        input_digest,
        run_id: parse_id(row.get(2)?)?,
        result: parse(session_id, "cache", &result)?,
        at: Timestamp::from_millis(row.get(4)?),
        expires_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
    })
}

/// See [`crate::SessionStore::session_result`].
pub(in crate::sqlite) fn session_result(
    connection: &Connection,
    lookup: &ResultLookup,
    now: Timestamp,
) -> Result<Option<SessionResult>, Failure> {
    let ResultLookup { session_id, tool, input_digest } = lookup;
    let sql = format!(
        "{RESULT} WHERE session_id = ?1 AND tool = ?2 AND input_digest = ?3 \
         ORDER BY id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![session_id, tool, input_digest.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let found = result(session_id, row)?;
    Ok(Some(found).filter(|found| found.expires_at.is_none_or(|at| now < at)))
}

/// See [`crate::SessionStore::session_results`].
pub(in crate::sqlite) fn session_results(
    connection: &Connection,
    session_id: &str,
    now: Timestamp,
) -> Result<Vec<SessionResult>, Failure> {
    let sql = format!(
        "{RESULT} WHERE session_id = ?1 AND coalesce(expires_at_ms > ?2, TRUE) AND id = \
         (SELECT max(id) FROM session_results n WHERE n.session_id = c.session_id \
         AND n.tool = c.tool AND n.input_digest = c.input_digest) ORDER BY id DESC LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = integer(RESULTS_PER_SESSION);
    let mut rows = statement.query(params![session_id, now.as_millis(), limit])?;
    let mut results = Vec::new();
    while let Some(row) = rows.next()? {
        results.push(result(session_id, row)?);
    }
    Ok(results)
}

/// See [`crate::SessionStore::session_rollbacks`].
pub(in crate::sqlite) fn session_rollbacks(
    connection: &Connection,
    session_id: &str,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT run_id FROM session_rollbacks WHERE session_id = ?1 ORDER BY run_id";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([session_id])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(parse_id(row.get(0)?)?);
    }
    Ok(runs)
}
