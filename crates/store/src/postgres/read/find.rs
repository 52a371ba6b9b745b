//! Search for runs by id, name or part of an id.

use errand_model::RunId;

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::text::indexed;

/// See [`crate::Store::find`].
pub(in crate::postgres) async fn find(
    db: &Db,
    part: &str,
    limit: u32,
) -> Result<Vec<RunId>, Failure> {
    const BY_ID: &str = "SELECT run_id FROM runs WHERE run_id = $1 LIMIT $2";
    const BY_NAME: &str = "SELECT run_id FROM runs WHERE name = $1 ORDER BY run_id DESC LIMIT $2";
    const BY_PART: &str = "SELECT run_id FROM runs WHERE strpos(run_id, $1) > 0 \
         ORDER BY run_id DESC LIMIT $2";
    if part.is_empty() {
        return Ok(Vec::new());
    }
    let part = indexed(part);
    for sql in [BY_ID, BY_NAME, BY_PART] {
        let rows = db.query(sql, &[&part, &i64::from(limit)]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            // An invalid id cannot be meant; listing reports it.
            found.extend(RunId::try_from(row.try_get::<_, String>(0)?).ok());
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}
