//! Counts of queued runs, live runs and open questions.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::placement::Class;

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, number};
use crate::{QueuedCount, UnfinishedCounts};

/// See [`crate::Store::waiting`].
pub(in crate::postgres) async fn waiting(
    db: &Db,
    now: Timestamp,
) -> Result<Vec<QueuedCount>, Failure> {
    const BY_CLASS: &str = "SELECT class, count(*) FILTER (WHERE ready_at_ms <= $1), \
         count(*) FILTER (WHERE ready_at_ms > $1), min(ready_at_ms) FROM queue GROUP BY class";
    let mut by_namespace: BTreeMap<Option<String>, QueuedCount> = BTreeMap::new();
    for row in db.query(BY_CLASS, &[&now.as_millis()]).await? {
        let key: &str = row.try_get(0)?;
        let class = Class::from_key(key)
            .map_err(|error| damaged("", format!("the class {key:?} in the queue: {error}")))?;
        let oldest = Timestamp::from_millis(row.try_get(3)?);
        let namespace = class.namespace;
        let of = by_namespace.entry(namespace.clone()).or_insert(QueuedCount {
            namespace,
            ready: 0,
            delayed: 0,
            oldest_ready_at: None,
        });
        of.ready += number(row.try_get(1)?);
        of.delayed += number(row.try_get(2)?);
        if oldest <= now {
            of.oldest_ready_at = Some(of.oldest_ready_at.map_or(oldest, |it| it.min(oldest)));
        }
    }
    Ok(by_namespace.into_values().collect())
}

/// See [`crate::Store::standing`].
pub(in crate::postgres) async fn standing(db: &Db) -> Result<UnfinishedCounts, Failure> {
    const LIVE_BY_STATUS: &str = "SELECT status, count(*) FROM runs WHERE ended_at_ms IS NULL \
         GROUP BY status ORDER BY status";
    const OPEN_QUESTIONS: &str =
        "SELECT count(*), min(asked_at_ms) FROM questions WHERE answered_seq IS NULL";
    let mut live = Vec::new();
    for row in db.query(LIVE_BY_STATUS, &[]).await? {
        live.push((row.try_get(0)?, number(row.try_get(1)?)));
    }
    let mut standing = UnfinishedCounts { live, ..UnfinishedCounts::default() };
    for row in db.query(OPEN_QUESTIONS, &[]).await? {
        standing.open_questions = number(row.try_get(0)?);
        let oldest: Option<i64> = row.try_get(1)?;
        standing.oldest_question_at = oldest.map(Timestamp::from_millis);
    }
    Ok(standing)
}
