//! Search for runs and requests.

use errand_model::{RunId, Timestamp};
use rusqlite::{Connection, params};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::damaged;
use crate::{DocumentKind, StoredRequest};

/// See [`crate::Store::find`].
pub(in crate::sqlite) fn find(
    connection: &Connection,
    part: &str,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const BY_ID: &str = "SELECT run_id FROM runs WHERE run_id = ?1 LIMIT ?2";
    const BY_NAME: &str = "SELECT run_id FROM runs WHERE name = ?1 ORDER BY run_id DESC LIMIT ?2";
    // Scans the index of ids, not the rows of runs.
    const BY_PART: &str = "SELECT run_id FROM runs WHERE instr(run_id, ?1) > 0 \
         ORDER BY run_id DESC LIMIT ?2";
    if part.is_empty() {
        return Ok(Vec::new());
    }
    for sql in [BY_ID, BY_NAME, BY_PART] {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![part, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            // An invalid id cannot be meant; listing reports it.
            found.extend(RunId::try_from(row.get::<_, String>(0)?).ok());
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Lists the unanswered requests of a run, oldest first.
pub(in crate::sqlite) fn requests(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Vec<StoredRequest>, Failure> {
    const SQL: &str = "SELECT id, kind, at_ms FROM requests \
         WHERE run = (SELECT run FROM runs WHERE run_id = ?1) ORDER BY id";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([run_id.as_str()])?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next()? {
        let command: String = row.get(1)?;
        let command = serde_json::from_str(&command)
            .map_err(|error| damaged(run_id.as_str(), format!("a request of it: {error}")))?;
        let at = Timestamp::from_millis(row.get(2)?);
        requests.push(StoredRequest { id: row.get(0)?, run_id: run_id.clone(), command, at });
    }
    Ok(requests)
}

/// See [`crate::Store::asked`].
pub(in crate::sqlite) fn asked(
    connection: &Connection,
    run_ids: &[RunId],
) -> Result<Vec<RunId>, Failure> {
    // Requests are few, and answered soon.
    const SQL: &str = "SELECT DISTINCT r.run_id FROM requests q JOIN runs r ON r.run = q.run \
         ORDER BY r.run_id";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let run_id: String = row.get(0)?;
        found.extend(run_ids.iter().find(|wanted| wanted.as_str() == run_id).cloned());
    }
    Ok(found)
}

/// See [`crate::Store::has_due`].
pub(in crate::sqlite) fn has_due(
    connection: &Connection,
    kinds: &[DocumentKind],
    now: Timestamp,
) -> Result<bool, Failure> {
    const LEASES: &str = "SELECT EXISTS (SELECT 1 FROM leases WHERE expires_at_ms < ?1)";
    const DOCUMENTS: &str =
        "SELECT EXISTS (SELECT 1 FROM documents WHERE kind = ?1 AND due_at_ms <= ?2)";
    let now = now.as_millis();
    if connection.prepare_cached(LEASES)?.query_row([now], |row| row.get(0))? {
        return Ok(true);
    }
    let mut statement = connection.prepare_cached(DOCUMENTS)?;
    for kind in kinds {
        if statement.query_row(params![kind.word(), now], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// See [`crate::Store::expired`].
pub(in crate::sqlite) fn expired(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT r.run_id FROM leases l JOIN runs r ON r.run = l.run \
         WHERE l.expires_at_ms < ?1 ORDER BY l.expires_at_ms LIMIT ?2";
    run_ids(connection, SQL, params![now.as_millis(), limit])
}

/// See [`crate::Store::unqueued`].
pub(in crate::sqlite) fn unqueued(
    connection: &Connection,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT r.run_id FROM runs r LEFT JOIN leases l ON l.run = r.run \
         WHERE r.ended_at_ms IS NULL AND l.expires_at_ms IS NULL \
         AND (l.run IS NOT NULL OR r.status <> 'paused') \
         AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.run = r.run) ORDER BY r.run_id LIMIT ?1";
    run_ids(connection, SQL, params![limit])
}

fn run_ids(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<RunId>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        found.push(RunId::try_from(id).map_err(|error| damaged(&error.text, "its id is none"))?);
    }
    Ok(found)
}

/// See [`crate::Store::ended`].
pub(in crate::sqlite) fn ended(
    connection: &Connection,
    before: Timestamp,
    after: Option<&RunId>,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    // A run that ended before a moment was created before it: later ids are not scanned.
    const SQL: &str = "SELECT r.run_id FROM runs r LEFT JOIN dead_letters d ON d.run = r.run \
         WHERE r.run_id > ?2 AND r.run_id < ?3 AND r.ended_at_ms < ?1 \
         AND (d.run IS NULL OR d.discarded_at_ms IS NOT NULL OR EXISTS \
         (SELECT 1 FROM repeats a WHERE a.origin = r.run_id AND (a.upto IS NULL OR a.upto >= d.seq))) \
         ORDER BY r.run_id LIMIT ?4";
    let (after, end) = (after.map_or("", RunId::as_str), RunId::new(before, 0));
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![before.as_millis(), after, end.as_str(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(RunId::try_from(row.get::<_, String>(0)?).ok());
    }
    Ok(found)
}
