//! Rows of runs as stored, valid or not.

use errand_model::event::Event;
use errand_model::{Hash, RunId, Timestamp};
use tokio_postgres::Row;

use crate::Evidence;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{head, integer, number};

/// Reads the run's row; `None` if there is no such run.
pub(in crate::postgres) async fn evidence(
    db: &Db,
    run_id: &RunId,
) -> Result<Option<Evidence>, Failure> {
    const SQL: &str = "SELECT head_seq, head_hash, status, ended_at_ms FROM runs \
         WHERE run_id = $1";
    let Some(row) = db.query_first(SQL, &[&run_id.as_str()]).await? else { return Ok(None) };
    Ok(Some(Evidence {
        head: head(row.try_get(0)?, row.try_get(1)?),
        status: row.try_get(2)?,
        ended_at: row.try_get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
    }))
}

/// Lists the ids of runs, oldest first; invalid ids are left out.
pub(in crate::postgres) async fn run_ids(
    db: &Db,
    after: Option<&RunId>,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT run_id FROM runs WHERE run_id > $1 ORDER BY run_id LIMIT $2";
    let after = after.map_or("", RunId::as_str);
    let rows = db.query(SQL, &[&after, &i64::from(limit)]).await?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        ids.extend(RunId::try_from(row.try_get::<_, String>(0)?));
    }
    Ok(ids)
}

/// Reads events as stored.
pub(in crate::postgres) async fn scan(
    db: &Db,
    run_id: &RunId,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Event>, Failure> {
    const SQL: &str = "SELECT seq, at_ms, attempt, type, data, hash FROM events \
         WHERE run = (SELECT run FROM runs WHERE run_id = $1) AND seq > $2 ORDER BY seq LIMIT $3";
    let after = after.map_or(i64::MIN, integer);
    let rows = db.query(SQL, &[&run_id.as_str(), &after, &i64::from(limit)]).await?;
    rows.iter().map(|row| event(row, run_id)).collect()
}

fn event(row: &Row, run_id: &RunId) -> Result<Event, Failure> {
    let hash: Option<[u8; 32]> = row.try_get::<_, &[u8]>(5)?.try_into().ok();
    Ok(Event {
        run_id: run_id.clone(),
        seq: number(row.try_get(0)?),
        at: Timestamp::from_millis(row.try_get(1)?),
        attempt: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(u32::MAX),
        kind: row.try_get(3)?,
        data: row.try_get(4)?,
        hash: hash.map_or(Hash::ZERO, Hash::from_bytes),
    })
}
