//! Projection of the questions of agents to people.

use errand_model::event::Event;
use rusqlite::{Connection, params};

use crate::projection::{QuestionEffect, question};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::integer;

/// Applies one event.
pub(super) fn follow(connection: &Connection, run: i64, event: &Event) -> Result<(), Failure> {
    // A repetition in another attempt is the same question.
    const ASK: &str = "INSERT INTO questions (run, question_id, asked_seq, asked_at_ms, \
         deadline_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (run, question_id) DO UPDATE SET asked_seq = ?3, deadline_ms = ?5";
    const ANSWER: &str = "UPDATE questions SET answered_seq = ?3 \
         WHERE run = ?1 AND question_id = ?2 AND answered_seq IS NULL";
    const END: &str = "UPDATE questions SET answered_seq = ?2 \
         WHERE run = ?1 AND answered_seq IS NULL";
    let seq = integer(event.seq);
    match question(event) {
        Some(QuestionEffect::Asked { id, deadline_ms }) => {
            let at = event.at.as_millis();
            connection.prepare_cached(ASK)?.execute(params![run, id, seq, at, deadline_ms])?;
        }
        Some(QuestionEffect::Answered { id }) => {
            connection.prepare_cached(ANSWER)?.execute(params![run, id, seq])?;
        }
        Some(QuestionEffect::Ended) => {
            connection.prepare_cached(END)?.execute(params![run, seq])?;
        }
        None => {}
    }
    Ok(())
}
