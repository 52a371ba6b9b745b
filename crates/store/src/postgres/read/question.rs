//! Questions of agents to people.

use errand_model::event::Event;
use errand_model::{Hash, RunId, Timestamp};
use tokio_postgres::Row;

use super::in_namespaces;
use crate::Namespaces;
use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, number, run_id};
use crate::question::{Questions, StoredQuestion};

/// Number of columns of each event.
const EVENT_COLUMNS: usize = 6;

/// Lists questions of all runs, oldest first.
pub(in crate::postgres) async fn questions(
    db: &Db,
    which: Questions,
    namespaces: &Namespaces,
    limit: u32,
) -> Result<Vec<StoredQuestion>, Failure> {
    const SELECT: &str = "SELECT r.run_id, r.agent, r.name, q.asked_at_ms, \
         e.seq, e.at_ms, e.attempt, e.type, e.data, e.hash, \
         a.seq, a.at_ms, a.attempt, a.type, a.data, a.hash, r.parent_run_id \
         FROM questions q JOIN runs r ON r.run = q.run \
         JOIN events e ON e.run = q.run AND e.seq = q.asked_seq \
         LEFT JOIN events a ON a.run = q.run AND a.seq = q.answered_seq";
    let mut all = Conditions::default();
    match which {
        Questions::Open => all.also("q.answered_seq IS NULL"),
        Questions::Due(at) => {
            all.also("q.answered_seq IS NULL AND q.deadline_ms IS NOT NULL");
            all.with("q.deadline_ms <= ?", at.as_millis());
        }
        Questions::All => {}
    }
    in_namespaces(&mut all, namespaces);
    let limit = all.value(i64::from(limit));
    let sql = format!(
        "{SELECT} {} ORDER BY q.asked_at_ms, q.run, q.question_id LIMIT {limit}",
        all.sql()
    );
    let rows = db.query(&sql, &all.values()).await?;
    rows.iter().map(asked).collect()
}

fn asked(row: &Row) -> Result<StoredQuestion, Failure> {
    let run_id = run_id(row.try_get(0)?)?;
    let missing = || damaged(run_id.as_str(), "the event of a question is missing");
    let parent: Option<&str> = row.try_get(4 + 2 * EVENT_COLUMNS)?;
    Ok(StoredQuestion {
        parent_run_id: parent.and_then(|parent| parent.parse().ok()),
        agent: row.try_get(1)?,
        name: row.try_get(2)?,
        asked_at: Timestamp::from_millis(row.try_get(3)?),
        asked: event(row, 4, &run_id)?.ok_or_else(missing)?,
        answered: event(row, 4 + EVENT_COLUMNS, &run_id)?,
        run_id,
    })
}

/// Reads the event in the columns that begin at `first`; `None` if there is none.
fn event(row: &Row, first: usize, run_id: &RunId) -> Result<Option<Event>, Failure> {
    let Some(seq) = row.try_get::<_, Option<i64>>(first)? else { return Ok(None) };
    let seq = number(seq);
    let hash: Result<[u8; 32], _> = row.try_get::<_, &[u8]>(first + 5)?.try_into();
    let hash =
        hash.map_err(|_| damaged(run_id.as_str(), format!("the hash of event {seq} is none")))?;
    Ok(Some(Event {
        run_id: run_id.clone(),
        seq,
        at: Timestamp::from_millis(row.try_get(first + 1)?),
        attempt: u32::try_from(row.try_get::<_, i32>(first + 2)?).unwrap_or(u32::MAX),
        kind: row.try_get(first + 3)?,
        data: row.try_get(first + 4)?,
        hash: Hash::from_bytes(hash),
    }))
}
