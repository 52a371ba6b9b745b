//! Rows of a journal: its events, and the fold of them.

use errand_model::event::Event;
use errand_model::run::Run;
use rusqlite::{Connection, params};

use super::{bom, names, question};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{integer, json};

/// Inserts the events of a run, with the rows of other tables that follow from each of them.
pub(super) fn insert_events(
    connection: &Connection,
    run: i64,
    events: &[Event],
) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO events (run, seq, at_ms, attempt, type, data, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = connection.prepare_cached(SQL)?;
    for event in events {
        statement.execute(params![
            run,
            integer(event.seq),
            event.at.as_millis(),
            event.attempt,
            event.kind,
            event.data,
            event.hash.as_bytes(),
        ])?;
        bom::pinned(connection, run, event)?;
        names::note(connection, run, &event.kind, &event.data)?;
        question::follow(connection, run, event)?;
    }
    Ok(())
}

/// Puts the fold of a run's journal in the place of the one before.
pub(in crate::sqlite) fn put_state(
    connection: &Connection,
    run: i64,
    state: &Run,
    seq: u64,
) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO states (run, seq, state) VALUES (?1, ?2, ?3) \
         ON CONFLICT (run) DO UPDATE SET seq = ?2, state = ?3";
    connection.prepare_cached(SQL)?.execute(params![run, integer(seq), json(state)?])?;
    Ok(())
}
