//! Terminal runs, oldest first.

use errand_model::{RunId, Timestamp};

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;

/// See [`crate::Store::ended`].
pub(in crate::postgres) async fn ended(
    db: &Db,
    before: Timestamp,
    after: Option<&RunId>,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    // A run that ended before a moment was created before it: later ids are not scanned.
    const SQL: &str = "SELECT r.run_id FROM runs r LEFT JOIN dead_letters d ON d.run = r.run \
         WHERE r.run_id > $2 AND r.run_id < $3 AND r.ended_at_ms < $1 \
         AND (d.run IS NULL OR d.discarded_at_ms IS NOT NULL OR EXISTS \
         (SELECT 1 FROM repeats a WHERE a.origin = r.run_id \
         AND (a.upto IS NULL OR a.upto >= d.seq))) ORDER BY r.run_id LIMIT $4";
    let (after, end) = (after.map_or("", RunId::as_str), RunId::new(before, 0));
    let values = (before.as_millis(), end.as_str(), i64::from(limit));
    let rows = db.query(SQL, &[&values.0, &after, &values.1, &values.2]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.extend(RunId::try_from(row.try_get::<_, String>(0)?).ok());
    }
    Ok(found)
}
