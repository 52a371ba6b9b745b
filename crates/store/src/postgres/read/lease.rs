//! Expired leases, and requests to lease holders.

use errand_model::{RunId, Timestamp};

use crate::StoredRequest;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, run_id};

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
