//! Sessions: turns, state, history, results.

use errand_model::{RunId, Timestamp};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, integer, number, run_id};
use crate::postgres::text::indexed;
use crate::{
    Namespaces, RESULTS_PER_SESSION, ResultLookup, Session, SessionPage, SessionResult,
    SessionState, SessionTurn, StoredSessionMessage,
};

/// See [`crate::SessionStore::turn`].
pub(in crate::postgres) async fn turn(db: &Db, run_id: &RunId) -> Result<SessionTurn, Failure> {
    // A run that has begun keeps the turn; the others follow in the order of their admission. Of
    // the runs ahead the first has the turn, and the last is directly ahead.
    const SQL: &str = "SELECT run_id, ahead FROM (SELECT a.run_id, count(*) OVER () AS ahead, \
         row_number() OVER (ORDER BY t.has_begun DESC, t.run) AS place FROM runs r \
         JOIN session_turns o ON o.run = r.run AND NOT o.has_begun \
         JOIN session_turns t ON t.session_id = o.session_id AND (t.has_begun OR t.run < o.run) \
         JOIN runs a ON a.run = t.run WHERE r.run_id = $1) x \
         WHERE place = 1 OR place = ahead ORDER BY place";
    let mut ahead = Vec::new();
    let mut count = 0;
    for row in db.query(SQL, &[&run_id.as_str()]).await? {
        ahead.push(self::run_id(row.try_get(0)?)?);
        count = u32::try_from(row.try_get::<_, i64>(1)?).unwrap_or(u32::MAX);
    }
    Ok(SessionTurn { holder: ahead.first().cloned(), next_ahead: ahead.pop(), ahead: count })
}

/// Parses JSON that was stored for a session.
fn parse<T: DeserializeOwned>(session_id: &str, what: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        damaged("", format!("the {what} of session {session_id:?}: {error}")).into()
    })
}

/// Reads a session's state; `None` if there is none.
pub(in crate::postgres) async fn session(
    db: &Db,
    session_id: &str,
) -> Result<Option<SessionState>, Failure> {
    const SQL: &str = "SELECT revision, state, updated_at_ms FROM sessions WHERE session_id = $1";
    let Some(row) = db.query_first(SQL, &[&indexed(session_id)]).await? else { return Ok(None) };
    Ok(Some(SessionState {
        session_id: session_id.to_owned(),
        revision: number(row.try_get(0)?),
        state: parse(session_id, "state", row.try_get(1)?)?,
        updated_at: Timestamp::from_millis(row.try_get(2)?),
    }))
}

const SUMMARY: &str = "SELECT s.session_id, s.revision, s.updated_at_ms, \
     (SELECT count(*) FROM session_messages m WHERE m.session_id = s.session_id), \
     (SELECT count(*) FROM session_results c WHERE c.session_id = s.session_id), \
     (SELECT count(*) FROM runs r WHERE r.session_id = s.session_id), \
     (SELECT count(*) FROM runs r WHERE r.session_id = s.session_id AND r.ended_at_ms IS NULL) \
     FROM sessions s";

fn summary(row: &Row) -> Result<Session, Failure> {
    Ok(Session {
        session_id: row.try_get(0)?,
        revision: number(row.try_get(1)?),
        used_at: Timestamp::from_millis(row.try_get(2)?),
        messages: number(row.try_get(3)?),
        results: number(row.try_get(4)?),
        runs: number(row.try_get(5)?),
        live_runs: number(row.try_get(6)?),
    })
}

/// See [`crate::SessionStore::session_summary`].
pub(in crate::postgres) async fn session_summary(
    db: &Db,
    session_id: &str,
) -> Result<Option<Session>, Failure> {
    let sql = format!("{SUMMARY} WHERE s.session_id = $1");
    let found = db.query_first(&sql, &[&indexed(session_id)]).await?;
    found.map(|row| summary(&row)).transpose()
}

/// See [`crate::SessionStore::sessions`].
pub(in crate::postgres) async fn sessions(
    db: &Db,
    page: &SessionPage,
) -> Result<Vec<Session>, Failure> {
    let mut all = Conditions::default();
    if let Some(since) = page.unused_since {
        all.with("s.updated_at_ms <= ?", since.as_millis());
    }
    match &page.namespaces {
        Namespaces::All => {}
        Namespaces::One(None) => all.also("strpos(s.session_id, '/') = 0"),
        Namespaces::One(Some(namespace)) => {
            all.with_text("starts_with(s.session_id, ? || '/')", namespace);
        }
    }
    if let Some((at, session_id)) = &page.after {
        let at = all.value(at.as_millis());
        all.with_text(&format!("(s.updated_at_ms, s.session_id) < ({at}, ?)"), session_id);
    }
    let limit = all.value(i64::from(page.limit));
    let sql = format!(
        "{SUMMARY} {} ORDER BY s.updated_at_ms DESC, s.session_id DESC LIMIT {limit}",
        all.sql()
    );
    let rows = db.query(&sql, &all.values()).await?;
    rows.iter().map(summary).collect()
}

/// See [`crate::SessionStore::session_length`].
pub(in crate::postgres) async fn session_length(db: &Db, session_id: &str) -> Result<u64, Failure> {
    const SQL: &str = "SELECT count(*) FROM session_messages WHERE session_id = $1";
    let row = db.query_first(SQL, &[&indexed(session_id)]).await?;
    row.map_or(Ok(0), |row| Ok(number(row.try_get(0)?)))
}

/// See [`crate::SessionStore::session_messages`].
pub(in crate::postgres) async fn session_messages(
    db: &Db,
    session_id: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredSessionMessage>, Failure> {
    const SQL: &str = "SELECT number, run_id, role, content, at_ms FROM session_messages \
         WHERE session_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
    let before = before.map_or(i64::MAX, integer);
    let rows = db.query(SQL, &[&indexed(session_id), &before, &i64::from(limit)]).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        messages.push(StoredSessionMessage {
            number: number(row.try_get(0)?),
            run_id: run_id(row.try_get(1)?)?,
            role: row.try_get(2)?,
            content: parse(session_id, "history", row.try_get(3)?)?,
            at: Timestamp::from_millis(row.try_get(4)?),
        });
    }
    Ok(messages)
}

const RESULT: &str =
    "SELECT tool, input_digest, run_id, result, at_ms, expires_at_ms FROM session_results c";

fn result(session_id: &str, row: &Row) -> Result<SessionResult, Failure> {
    let digest: String = row.try_get(1)?;
    let input_digest = digest.try_into().map_err(|error: errand_model::MalformedDigest| {
        damaged("", format!("the cache of session {session_id:?}: {error}"))
    })?;
    Ok(SessionResult {
        tool: row.try_get(0)?,
        input_digest,
        run_id: run_id(row.try_get(2)?)?,
        result: parse(session_id, "cache", row.try_get(3)?)?,
        at: Timestamp::from_millis(row.try_get(4)?),
        expires_at: row.try_get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
    })
}

/// See [`crate::SessionStore::session_result`].
pub(in crate::postgres) async fn session_result(
    db: &Db,
    lookup: &ResultLookup,
    now: Timestamp,
) -> Result<Option<SessionResult>, Failure> {
    let ResultLookup { session_id, tool, input_digest } = lookup;
    let sql = format!(
        "{RESULT} WHERE session_id = $1 AND tool = $2 AND input_digest = $3 \
         ORDER BY id DESC LIMIT 1"
    );
    let values = (indexed(session_id), indexed(tool), input_digest.as_str());
    let Some(row) = db.query_first(&sql, &[&values.0, &values.1, &values.2]).await? else {
        return Ok(None);
    };
    let found = result(session_id, &row)?;
    Ok(Some(found).filter(|found| found.expires_at.is_none_or(|at| now < at)))
}

/// See [`crate::SessionStore::session_results`].
pub(in crate::postgres) async fn session_results(
    db: &Db,
    session_id: &str,
    now: Timestamp,
) -> Result<Vec<SessionResult>, Failure> {
    let sql = format!(
        "{RESULT} WHERE session_id = $1 AND coalesce(expires_at_ms > $2, TRUE) AND id = \
         (SELECT max(id) FROM session_results n WHERE n.session_id = c.session_id \
         AND n.tool = c.tool AND n.input_digest = c.input_digest) ORDER BY id DESC LIMIT $3"
    );
    let limit = integer(RESULTS_PER_SESSION);
    let rows = db.query(&sql, &[&indexed(session_id), &now.as_millis(), &limit]).await?;
    rows.iter().map(|row| result(session_id, row)).collect()
}

/// See [`crate::SessionStore::session_rollbacks`].
pub(in crate::postgres) async fn session_rollbacks(
    db: &Db,
    session_id: &str,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT run_id FROM session_rollbacks WHERE session_id = $1 ORDER BY run_id";
    let rows = db.query(SQL, &[&indexed(session_id)]).await?;
    rows.iter().map(|row| run_id(row.try_get(0)?)).collect()
}
