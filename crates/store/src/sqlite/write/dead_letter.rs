//! Dead letters: added with the event that makes one, discarded on request.

use errand_model::event::Event;
use errand_model::run::Run;
use rusqlite::{Connection, params};

use super::Operation;
use crate::projection::{self, STEP_EVENTS, StepEvent, died};
use crate::sqlite::failure::Failure;
use crate::sqlite::read;
use crate::sqlite::row::integer;
use crate::{Admission, DeadLetterFate, Discard, Error};

/// [`crate::Store::discard`].
pub(in crate::sqlite) struct DiscardDeadLetter(pub(in crate::sqlite) Discard);

impl Operation for DiscardDeadLetter {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), Failure> {
        const SQL: &str = "UPDATE dead_letters SET discarded_at_ms = ?2, discarded_by = ?3 \
             WHERE run = (SELECT run FROM runs WHERE run_id = ?1)";
        let Discard { run_id, by, at } = &self.0;
        match read::dead_letter(connection, run_id)? {
            Some(found) if found.fate == DeadLetterFate::Open => {}
            Some(found) => return Err(Error::Settled { letter: Box::new(found) }.into()),
            None => return Err(Error::NoDeadLetter { run_id: run_id.clone() }.into()),
        }
        connection.prepare_cached(SQL)?.execute(params![run_id.as_str(), at.as_millis(), by])?;
        Ok(())
    }
}

/// Refuses to redrive a settled dead letter, if the admission asks for that.
pub(super) fn check(connection: &Connection, admission: &Admission) -> Result<(), Failure> {
    let Some(origin) = admission.run.spec.origin_run_id.as_ref().filter(|_| admission.redrives)
    else {
        return Ok(());
    };
    match read::dead_letter(connection, origin)? {
        Some(found) if found.fate == DeadLetterFate::Open => Ok(()),
        Some(found) => Err(Error::Settled { letter: Box::new(found) }.into()),
        None => Err(Error::NoDeadLetter { run_id: origin.clone() }.into()),
    }
}

/// Records that a run repeats another one.
pub(super) fn note_repeat(connection: &Connection, run: &Run) -> Result<(), Failure> {
    const SQL: &str =
        "INSERT OR REPLACE INTO repeats (run_id, origin, upto, at_ms) VALUES (?1, ?2, ?3, ?4)";
    let spec = &run.spec;
    let Some(origin) = spec.origin_run_id.as_ref().filter(|_| spec.replay.is_none()) else {
        return Ok(());
    };
    let upto = spec.inherits.as_ref().map(|inherits| integer(inherits.upto_seq));
    let at = run.created_at.as_millis();
    connection.prepare_cached(SQL)?.execute(params![run.id.as_str(), origin.as_str(), upto, at])?;
    Ok(())
}

/// Adds the dead letter that `events`, the newest of the run, create, if they create one.
pub(super) fn note(
    connection: &Connection,
    number: i64,
    run: &Run,
    events: &[Event],
) -> Result<(), Failure> {
    const SQL: &str = "INSERT OR REPLACE INTO dead_letters \
         (run, seq, at_ms, attempts, code, message, step) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Some(died) = died(run, events) else { return Ok(()) };
    let step = match died.step {
        Some(step) => Some(step.to_owned()),
        None => failing_step(connection, number, died.attempts)?,
    };
    connection.prepare_cached(SQL)?.execute(params![
        number,
        integer(died.seq),
        died.at.as_millis(),
        died.attempts,
        died.code,
        died.message,
        step,
    ])?;
    Ok(())
}

/// Returns the step of that attempt that was begun or failed last and not completed since.
fn failing_step(
    connection: &Connection,
    run: i64,
    attempt: u32,
) -> Result<Option<String>, Failure> {
    const SQL: &str = "SELECT attempt, type, json_extract(data, '$.key') FROM events \
         WHERE run = ?1 AND type IN ('step.started', 'step.completed', 'step.failed') \
         ORDER BY seq DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query(params![run, STEP_EVENTS])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(1)?;
        let is_completion = kind == "step.completed";
        found.push(StepEvent { attempt: row.get(0)?, is_completion, key: row.get(2)? });
    }
    Ok(projection::failing_step(found, attempt))
}
