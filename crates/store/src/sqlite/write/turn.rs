//! Turns of runs in a session: a run joins the queue at its admission, and leaves it at its end.

use errand_model::RunId;
use errand_model::event::OnBusy;
use errand_model::run::Run;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::projection::{begins, takes_turns};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::damaged;
use crate::{Admission, Append, Error};

/// Refuses a run that may not wait, if another run has the turn or waits for it.
pub(super) fn check_admission(
    connection: &Connection,
    admission: &Admission,
) -> Result<(), Failure> {
    const HOLDER: &str = "SELECT r.run_id FROM session_turns t JOIN runs r ON r.run = t.run \
         WHERE t.session_id = ?1 ORDER BY t.has_begun DESC, t.run LIMIT 1";
    let Some((session_id, OnBusy::Reject)) = takes_turns(&admission.run) else { return Ok(()) };
    let holder: Option<String> =
        connection.prepare_cached(HOLDER)?.query_row([session_id], |row| row.get(0)).optional()?;
    match holder {
        Some(holder) => Err(busy(session_id, holder)),
        None => Ok(()),
    }
}

/// Refuses the start of a run while another one of its session is running. A waiting run checks its
/// turn before it starts; this catches a check that was too early.
pub(super) fn check_beginning(
    connection: &Connection,
    append: &Append,
    run: i64,
) -> Result<(), Failure> {
    const OTHER: &str = "SELECT r.run_id FROM session_turns t JOIN runs r ON r.run = t.run \
         WHERE t.session_id = ?1 AND t.has_begun = 1 AND t.run <> ?2 LIMIT 1";
    let Some((session_id, _)) = takes_turns(&append.run).filter(|_| begins(&append.events)) else {
        return Ok(());
    };
    let other: Option<String> = connection
        .prepare_cached(OTHER)?
        .query_row(params![session_id, run], |row| row.get(0))
        .optional()?;
    match other {
        Some(other) => Err(busy(session_id, other)),
        None => Ok(()),
    }
}

fn busy(session_id: &str, holder: String) -> Failure {
    match RunId::try_from(holder) {
        Ok(run_id) => Error::SessionBusy { session_id: session_id.to_owned(), run_id }.into(),
        Err(error) => damaged(&error.text, "its id is none").into(),
    }
}

/// Adds a new run to the queue, if it takes turns and is not over.
pub(super) fn line_up(connection: &Connection, number: i64, run: &Run) -> Result<(), Failure> {
    const SQL: &str =
        "INSERT INTO session_turns (run, session_id, waits, has_begun) VALUES (?1, ?2, ?3, ?4)";
    if let Some((session_id, on_busy)) = takes_turns(run)
        && !run.status.is_terminal()
    {
        let has_begun = !run.attempts.is_empty();
        let waits = matches!(on_busy, OnBusy::Enqueue | OnBusy::Reject);
        connection.prepare_cached(SQL)?.execute(params![number, session_id, waits, has_begun])?;
    }
    Ok(())
}

/// Updates the turn of a run that has started or ended.
pub(super) fn move_on(
    connection: &Connection,
    number: i64,
    append: &Append,
) -> Result<(), Failure> {
    const BEGIN: &str = "UPDATE session_turns SET has_begun = 1 WHERE run = ?1";
    const LEAVE: &str = "DELETE FROM session_turns WHERE run = ?1";
    if append.run.spec.session_turn.is_none() {
        return Ok(());
    }
    if append.run.status.is_terminal() {
        connection.prepare_cached(LEAVE)?.execute([number])?;
    } else if begins(&append.events) {
        connection.prepare_cached(BEGIN)?.execute([number])?;
    }
    Ok(())
}
