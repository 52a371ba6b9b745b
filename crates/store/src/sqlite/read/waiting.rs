//! Counts of queued runs, live runs and open questions.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::placement::Class;
use rusqlite::{Connection, params};

use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, number};
use crate::{QueuedCount, UnfinishedCounts};

const BY_CLASS: &str = "SELECT class, sum(ready_at_ms <= ?1), sum(ready_at_ms > ?1), \
     min(ready_at_ms) FROM queue GROUP BY class";

const LIVE_BY_STATUS: &str =
    "SELECT status, count(*) FROM runs WHERE ended_at_ms IS NULL GROUP BY status ORDER BY status";
const OPEN_QUESTIONS: &str =
    "SELECT count(*), min(asked_at_ms) FROM questions WHERE answered_seq IS NULL";

/// See [`crate::Store::waiting`].
pub(in crate::sqlite) fn waiting(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<QueuedCount>, Failure> {
    let mut by_namespace: BTreeMap<Option<String>, QueuedCount> = BTreeMap::new();
    let mut statement = connection.prepare_cached(BY_CLASS)?;
    let mut rows = statement.query(params![now.as_millis()])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let class = Class::from_key(&key)
            .map_err(|error| damaged("", format!("the class {key:?} in the queue: {error}")))?;
        let oldest = Timestamp::from_millis(row.get(3)?);
        let namespace = class.namespace;
        let of = by_namespace.entry(namespace.clone()).or_insert(QueuedCount {
            namespace,
            ready: 0,
            delayed: 0,
            oldest_ready_at: None,
        });
        of.ready += number(row.get(1)?);
        of.delayed += number(row.get(2)?);
        if oldest <= now {
            of.oldest_ready_at = Some(of.oldest_ready_at.map_or(oldest, |it| it.min(oldest)));
        }
    }
    Ok(by_namespace.into_values().collect())
}

/// See [`crate::Store::standing`].
pub(in crate::sqlite) fn standing(connection: &Connection) -> Result<UnfinishedCounts, Failure> {
    let mut live = Vec::new();
    let mut statement = connection.prepare_cached(LIVE_BY_STATUS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        live.push((row.get(0)?, number(row.get(1)?)));
    }
    let mut statement = connection.prepare_cached(OPEN_QUESTIONS)?;
    let (open, oldest): (i64, Option<i64>) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let oldest_question_at = oldest.map(Timestamp::from_millis);
    Ok(UnfinishedCounts { live, open_questions: number(open), oldest_question_at })
}
