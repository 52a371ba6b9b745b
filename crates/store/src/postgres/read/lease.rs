//! Expired leases, and requests to lease holders.

use errand_model::{RunId, Timestamp};

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, run_id};
use crate::{DocumentKind, StoredRequest};

/// See [`crate::Store::expired`].
pub(in crate::postgres) async fn expired(
    db: &Db,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT r.run_id FROM leases l JOIN runs r ON r.run = l.run \
         WHERE l.expires_at_ms < $1 ORDER BY l.expires_at_ms LIMIT $2";
    let rows = db.query(SQL, &[&now.as_millis(), &i64::from(limit)]).await?;
    rows.iter().map(|row| run_id(row.try_get(0)?)).collect()
}

/// See [`crate::Store::has_due`].
pub(in crate::postgres) async fn has_due(
    db: &Db,
    kinds: &[DocumentKind],
    now: Timestamp,
) -> Result<bool, Failure> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM leases WHERE expires_at_ms < $1) \
         OR EXISTS (SELECT 1 FROM documents WHERE kind = ANY($2) AND due_at_ms <= $1)";
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    let row = db.query_first(SQL, &[&now.as_millis(), &kinds]).await?;
    Ok(row.map_or(Ok(false), |row| row.try_get(0))?)
}

/// Returns true if a queued run is ready, whatever it needs of a worker. The number of runs that
/// are not ready yet does not matter.
pub(in crate::postgres) async fn is_any_ready(db: &Db, now: Timestamp) -> Result<bool, Failure> {
    const SQL: &str = "WITH RECURSIVE groups (class, rank) AS ( \
         (SELECT class, rank FROM queue ORDER BY class, rank LIMIT 1) \
         UNION ALL SELECT n.class, n.rank FROM groups g, LATERAL (SELECT q.class, q.rank FROM queue q \
         WHERE (q.class, q.rank) > (g.class, g.rank) ORDER BY q.class, q.rank LIMIT 1) n) \
         SELECT EXISTS (SELECT 1 FROM groups g, LATERAL (SELECT 1 FROM queue q \
         WHERE q.class = g.class AND q.rank = g.rank AND q.ready_at_ms <= $1 LIMIT 1) r)";
    let row = db.query_first(SQL, &[&now.as_millis()]).await?;
    Ok(row.map_or(Ok(false), |row| row.try_get(0))?)
}

/// See [`crate::Store::asked`].
pub(in crate::postgres) async fn asked(db: &Db, run_ids: &[RunId]) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT DISTINCT r.run_id FROM requests q JOIN runs r ON r.run = q.run \
         WHERE r.run_id = ANY($1) ORDER BY r.run_id";
    let run_ids: Vec<&str> = run_ids.iter().map(RunId::as_str).collect();
    let rows = db.query(SQL, &[&run_ids]).await?;
    rows.iter().map(|row| run_id(row.try_get(0)?)).collect()
}

/// See [`crate::Store::unqueued`].
pub(in crate::postgres) async fn unqueued(db: &Db, limit: u32) -> Result<Vec<RunId>, Failure> {
    const SQL: &str = "SELECT r.run_id FROM runs r LEFT JOIN leases l ON l.run = r.run \
         WHERE r.ended_at_ms IS NULL AND l.expires_at_ms IS NULL \
         AND (l.run IS NOT NULL OR r.status <> 'paused') \
         AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.run = r.run) ORDER BY r.run_id LIMIT $1";
    let rows = db.query(SQL, &[&i64::from(limit)]).await?;
    rows.iter().map(|row| run_id(row.try_get(0)?)).collect()
}

/// Lists the unanswered requests of a run, oldest first.
pub(in crate::postgres) async fn requests(
    db: &Db,
    run_id: &RunId,
) -> Result<Vec<StoredRequest>, Failure> {
    const SQL: &str = "SELECT id, kind, at_ms FROM requests \
         WHERE run = (SELECT run FROM runs WHERE run_id = $1) ORDER BY id";
    let mut requests = Vec::new();
    for row in db.query(SQL, &[&run_id.as_str()]).await? {
        let command = serde_json::from_str(row.try_get(1)?)
            .map_err(|error| damaged(run_id.as_str(), format!("a request of it: {error}")))?;
        let at = Timestamp::from_millis(row.try_get(2)?);
        requests.push(StoredRequest { id: row.try_get(0)?, run_id: run_id.clone(), command, at });
    }
    Ok(requests)
}
