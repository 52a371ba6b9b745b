//! What agents ask people is listed apart from the journal, in the commit of its events.

use errand_model::event::Event;
use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::sqlite::failure::Failure;
use crate::sqlite::row::integer;

/// What all events about a question have.
#[derive(Deserialize)]
struct About {
    #[serde(alias = "approval_id", alias = "input_id")]
    question_id: String,
    #[serde(default)]
    deadline_ms: Option<i64>,
}

/// Takes one event in.
pub(super) fn follow(connection: &Connection, run: i64, event: &Event) -> Result<(), Failure> {
    // Asked again, in another attempt, it is the same question.
    const ASK: &str = "INSERT INTO questions (run, question_id, asked_seq, asked_at_ms, \
         deadline_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (run, question_id) DO UPDATE SET asked_seq = ?3, deadline_ms = ?5";
    const ANSWER: &str = "UPDATE questions SET answered_seq = ?3 \
         WHERE run = ?1 AND question_id = ?2 AND answered_seq IS NULL";
    const END: &str = "UPDATE questions SET answered_seq = ?2 \
         WHERE run = ?1 AND answered_seq IS NULL";
    let seq = integer(event.seq);
    match event.kind.as_str() {
        "approval.requested" | "input.requested" => {
            let Ok(about) = serde_json::from_str::<About>(&event.data) else { return Ok(()) };
            let at = event.at.as_millis();
            let values = params![run, about.question_id, seq, at, about.deadline_ms];
            connection.prepare_cached(ASK)?.execute(values)?;
        }
        "approval.decided" | "input.provided" | "input.expired" => {
            let Ok(about) = serde_json::from_str::<About>(&event.data) else { return Ok(()) };
            connection.prepare_cached(ANSWER)?.execute(params![run, about.question_id, seq])?;
        }
        "run.completed" | "run.failed" | "run.cancelled" => {
            connection.prepare_cached(END)?.execute(params![run, seq])?;
        }
        _ => {}
    }
    Ok(())
}
