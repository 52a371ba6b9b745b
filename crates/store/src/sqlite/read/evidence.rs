//! Rows of runs as stored, valid or not.

use errand_model::event::Event;
use errand_model::{Hash, RunId, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::Evidence;
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{head, integer, number};

/// Reads the run's row; `None` if there is no such run.
pub(in crate::sqlite) fn evidence(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Option<Evidence>, Failure> {
    const SQL: &str = "SELECT head_seq, head_hash, status, ended_at_ms FROM runs \
         WHERE run_id = ?1";
    let mut statement = connection.prepare_cached(SQL)?;
    let found = statement.query_row([run_id.as_str()], |row| {
        Ok(Evidence {
            head: head(row.get(0)?, row.get_ref(1)?),
            status: row.get(2)?,
            ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        })
    });
    Ok(found.optional()?)
}

/// Lists the ids of runs, oldest first; invalid ids are left out.
pub(in crate::sqlite) fn run_ids(
    connection: &Connection,
    after: Option<&RunId>,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT run_id FROM runs WHERE run_id > ?1 ORDER BY run_id LIMIT ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map(params![after.map_or("", RunId::as_str), limit], |row| {
        row.get::<_, String>(0)
    })?;
    let mut ids = Vec::new();
    for id in rows {
        ids.extend(RunId::try_from(id?));
    }
    Ok(ids)
}

/// Reads events as stored.
pub(in crate::sqlite) fn scan(
    connection: &Connection,
    run_id: &RunId,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Event>, Failure> {
    const RUN: &str = "SELECT run FROM runs WHERE run_id = ?1";
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut find = connection.prepare_cached(RUN)?;
    let Some(run) = find.query_row([run_id.as_str()], |row| row.get::<_, i64>(0)).optional()?
    else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![run, after.map_or(i64::MIN, integer), limit])?;
    let mut events = Vec::with_capacity(usize::try_from(limit).unwrap_or(0).min(4096));
    while let Some(row) = rows.next()? {
        events.push(event(row, run_id)?);
    }
    Ok(events)
}

fn event(row: &Row<'_>, run_id: &RunId) -> Result<Event, Failure> {
    let hash: Option<[u8; 32]> =
        row.get_ref(5)?.as_blob().ok().and_then(|blob| blob.try_into().ok());
    Ok(Event {
        run_id: run_id.clone(),
        seq: number(row.get(0)?),
        at: Timestamp::from_millis(row.get(1)?),
        attempt: u32::try_from(row.get::<_, i64>(2)?).unwrap_or(u32::MAX),
        kind: text(row.get_ref(3)?),
        data: text(row.get_ref(4)?),
        hash: hash.map_or(Hash::ZERO, Hash::from_bytes),
    })
}

/// Returns text with invalid bytes replaced.
fn text(value: ValueRef<'_>) -> String {
    value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}
