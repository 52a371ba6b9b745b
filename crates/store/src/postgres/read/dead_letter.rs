//! Dead letters with their fates.

use errand_model::{RunId, Timestamp};
use tokio_postgres::Row;

use super::in_namespaces;
use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::run_id;
use crate::{DeadLetterFate, DeadLetterFilter, Page, StoredDeadLetter};

/// Columns for [`letter`], in order. The last run that repeats the dead one counts.
const COLUMNS: &str = "SELECT r.run_id, r.name, r.agent, d.at_ms, d.attempts, d.code, d.message, \
     d.step, d.discarded_at_ms, d.discarded_by, a.run_id, a.at_ms \
     FROM dead_letters d JOIN runs r ON r.run = d.run LEFT JOIN LATERAL \
     (SELECT n.run_id, n.at_ms FROM repeats n WHERE n.origin = r.run_id \
     AND (n.upto IS NULL OR n.upto >= d.seq) ORDER BY n.run_id DESC LIMIT 1) a ON TRUE";

/// Reads one dead letter; `None` if the run is none.
pub(in crate::postgres) async fn dead_letter(
    db: &Db,
    run_id: &RunId,
) -> Result<Option<StoredDeadLetter>, Failure> {
    let run_id = Some(run_id.clone());
    let filter = DeadLetterFilter { settled: true, run_id, ..DeadLetterFilter::default() };
    let mut found = dead_letters(db, &filter, &Page { after: None, limit: 1 }).await?;
    Ok(found.pop())
}

/// Lists dead letters, newest run first.
pub(in crate::postgres) async fn dead_letters(
    db: &Db,
    filter: &DeadLetterFilter,
    page: &Page,
) -> Result<Vec<StoredDeadLetter>, Failure> {
    let DeadLetterFilter { namespaces, settled, run_id, agent, code, since, before } = filter;
    let mut all = Conditions::default();
    in_namespaces(&mut all, namespaces);
    if let Some(run_id) = run_id {
        all.with_text("r.run_id = ?", run_id.as_str());
    }
    if let Some(agent) = agent {
        all.with_text("r.agent = ?", agent);
    }
    if let Some(code) = code {
        all.with_text("d.code = ?", code);
    }
    if let Some(since) = since {
        all.with("d.at_ms >= ?", since.as_millis());
    }
    if let Some(before) = before {
        all.with("d.at_ms < ?", before.as_millis());
    }
    if let Some(after) = &page.after {
        all.with_text("r.run_id < ?", after.as_str());
    }
    if !settled {
        all.also("d.discarded_at_ms IS NULL AND a.run_id IS NULL");
    }
    let limit = all.value(i64::from(page.limit));
    let sql = format!("{COLUMNS} {} ORDER BY r.run_id DESC LIMIT {limit}", all.sql());
    let rows = db.query(&sql, &all.values()).await?;
    rows.iter().map(letter).collect()
}

fn letter(row: &Row) -> Result<StoredDeadLetter, Failure> {
    let again: (Option<String>, Option<i64>) = (row.try_get(10)?, row.try_get(11)?);
    let discarded_at: Option<i64> = row.try_get(8)?;
    let fate = match (discarded_at, again) {
        (_, (Some(again), Some(at))) => {
            DeadLetterFate::Redriven { run_id: run_id(again)?, at: Timestamp::from_millis(at) }
        }
        (Some(at), _) => {
            DeadLetterFate::Discarded { at: Timestamp::from_millis(at), by: row.try_get(9)? }
        }
        (None, _) => DeadLetterFate::Open,
    };
    Ok(StoredDeadLetter {
        run_id: run_id(row.try_get(0)?)?,
        name: row.try_get(1)?,
        agent: row.try_get(2)?,
        at: Timestamp::from_millis(row.try_get(3)?),
        attempts: u32::try_from(row.try_get::<_, i32>(4)?).unwrap_or(0),
        code: row.try_get(5)?,
        message: row.try_get(6)?,
        step: row.try_get(7)?,
        fate,
    })
}
