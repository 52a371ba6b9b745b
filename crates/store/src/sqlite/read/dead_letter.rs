//! Dead letters with their fates.

use errand_model::{RunId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::damaged;
use crate::{DeadLetterFate, DeadLetterFilter, Page, StoredDeadLetter};

/// Columns for [`letter`], in order. The last run that repeats the dead one counts.
const COLUMNS: &str = "SELECT r.run_id, r.name, r.agent, d.at_ms, d.attempts, d.code, d.message, \
     d.step, d.discarded_at_ms, d.discarded_by, a.run_id, a.at_ms \
     FROM dead_letters d JOIN runs r ON r.run = d.run LEFT JOIN repeats a ON a.run_id = \
     (SELECT max(run_id) FROM repeats WHERE origin = r.run_id AND (upto IS NULL OR upto >= d.seq))";

/// Reads one dead letter; `None` if the run is none.
pub(in crate::sqlite) fn dead_letter(
    connection: &Connection,
    run_id: &RunId,
) -> Result<Option<StoredDeadLetter>, Failure> {
    let run_id = Some(run_id.clone());
    let filter = DeadLetterFilter { settled: true, run_id, ..DeadLetterFilter::default() };
    let mut found = dead_letters(connection, &filter, &Page { after: None, limit: 1 })?;
    Ok(found.pop())
}

/// Lists dead letters, newest run first.
pub(in crate::sqlite) fn dead_letters(
    connection: &Connection,
    filter: &DeadLetterFilter,
    page: &Page,
) -> Result<Vec<StoredDeadLetter>, Failure> {
    let DeadLetterFilter { namespaces, settled, run_id, agent, code, since, before } = filter;
    let mut conditions = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let mut with = |condition, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    if let Some((condition, namespace)) = super::in_namespaces(namespaces) {
        with(condition, Some(Value::from(namespace)));
    }
    with("r.run_id = ?", run_id.as_ref().map(|run_id| run_id.to_string().into()));
    with("r.agent = ?", agent.clone().map(Value::from));
    with("d.code = ?", code.clone().map(Value::from));
    with("d.at_ms >= ?", since.map(|since| since.as_millis().into()));
    with("d.at_ms < ?", before.map(|before| before.as_millis().into()));
    with("r.run_id < ?", page.after.as_ref().map(|after| after.to_string().into()));
    if !settled {
        conditions.push("d.discarded_at_ms IS NULL AND a.run_id IS NULL");
    }
    let limit = page.limit;
    let conditions = conditions.join(" AND ");
    let sql = format!("{COLUMNS} WHERE {conditions} ORDER BY r.run_id DESC LIMIT {limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(letter(row)?);
    }
    Ok(found)
}

fn letter(row: &Row<'_>) -> Result<StoredDeadLetter, Failure> {
    let again: (Option<String>, Option<i64>) = (row.get(10)?, row.get(11)?);
    let discarded_at: Option<i64> = row.get(8)?;
    let fate = match (discarded_at, again) {
        (_, (Some(run_id), Some(at))) => {
            DeadLetterFate::Redriven { run_id: id(run_id)?, at: Timestamp::from_millis(at) }
        }
        (Some(at), _) => {
            DeadLetterFate::Discarded { at: Timestamp::from_millis(at), by: row.get(9)? }
        }
        (None, _) => DeadLetterFate::Open,
    };
    Ok(StoredDeadLetter {
        run_id: id(row.get(0)?)?,
        name: row.get(1)?,
        agent: row.get(2)?,
        at: Timestamp::from_millis(row.get(3)?),
        attempts: row.get(4)?,
        code: row.get(5)?,
        message: row.get(6)?,
        step: row.get(7)?,
        fate,
    })
}

fn id(text: String) -> Result<RunId, Failure> {
    RunId::try_from(text).map_err(|error| damaged(&error.text, "its id is none").into())
}
