//! Questions of agents to people.

use errand_model::event::Event;
use errand_model::{Hash, RunId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::in_namespaces;
use crate::Namespaces;
use crate::question::{Questions, StoredQuestion};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, number};

/// Columns of an event.
macro_rules! event_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".seq, ",
            $table,
            ".at_ms, ",
            $table,
            ".attempt, ",
            $table,
            ".type, ",
            $table,
            ".data, ",
            $table,
            ".hash"
        )
    };
}
/// Number of columns of an event.
const EVENT_COLUMNS: usize = 6;

/// Lists questions of all runs, oldest first.
pub(in crate::sqlite) fn questions(
    connection: &Connection,
    which: Questions,
    namespaces: &Namespaces,
    limit: u32,
) -> Result<Vec<StoredQuestion>, Failure> {
    const SELECT: &str = concat!(
        "SELECT r.run_id, r.agent, r.name, q.asked_at_ms, ",
        event_columns!("e"),
        ", ",
        event_columns!("a"),
        ", r.parent_run_id FROM questions q JOIN runs r ON r.run = q.run \
          JOIN events e ON e.run = q.run AND e.seq = q.asked_seq \
          LEFT JOIN events a ON a.run = q.run AND a.seq = q.answered_seq",
    );
    const ORDER: &str = "ORDER BY q.asked_at_ms, q.run, q.question_id LIMIT ?1";
    let condition = match which {
        Questions::Open => "WHERE q.answered_seq IS NULL AND ?2 = 0",
        Questions::Due(_) => {
            "WHERE q.answered_seq IS NULL AND q.deadline_ms IS NOT NULL AND q.deadline_ms <= ?2"
        }
        Questions::All => "WHERE ?2 = 0",
    };
    let due_at = if let Questions::Due(at) = which { at.as_millis() } else { 0 };
    let whose = match namespaces {
        Namespaces::All => "?3 IS NULL",
        Namespaces::One(_) => "r.namespace IS ?3",
    };
    let namespace = in_namespaces(namespaces).and_then(|(_, namespace)| namespace);
    let sql = format!("{SELECT} {condition} AND {whose} {ORDER}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![limit, due_at, namespace])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(asked(row)?);
    }
    Ok(found)
}

fn asked(row: &Row<'_>) -> Result<StoredQuestion, Failure> {
    let run_id: String = row.get(0)?;
    let run_id = RunId::try_from(run_id).map_err(|error| damaged(&error.text, "its id is none"))?;
    let missing = || damaged(run_id.as_str(), "the event of a question is missing");
    let parent: Option<String> = row.get(4 + 2 * EVENT_COLUMNS)?;
    Ok(StoredQuestion {
        parent_run_id: parent.and_then(|parent| parent.parse().ok()),
        agent: row.get(1)?,
        name: row.get(2)?,
        asked_at: Timestamp::from_millis(row.get(3)?),
        asked: event(row, 4, &run_id)?.ok_or_else(missing)?,
        answered: event(row, 4 + EVENT_COLUMNS, &run_id)?,
        run_id,
    })
}

/// Reads the event in the columns that begin at `first`; `None` if there is none.
fn event(row: &Row<'_>, first: usize, run_id: &RunId) -> Result<Option<Event>, Failure> {
    let Some(seq) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let seq = number(seq);
    let hash: Result<[u8; 32], _> =
        row.get_ref(first + 5)?.as_blob().unwrap_or_default().try_into();
    let hash =
        hash.map_err(|_| damaged(run_id.as_str(), format!("the hash of event {seq} is none")))?;
    Ok(Some(Event {
        run_id: run_id.clone(),
        seq,
        at: Timestamp::from_millis(row.get(first + 1)?),
        attempt: row.get(first + 2)?,
        kind: row.get(first + 3)?,
        data: row.get(first + 4)?,
        hash: Hash::from_bytes(hash),
    }))
}
