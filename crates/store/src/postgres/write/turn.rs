//! Turns of runs in a session: a run joins the queue at its admission, and leaves it at its end.

use errand_model::event::OnBusy;

use super::Grown;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::run_id;
use crate::postgres::text::indexed;
use crate::projection::{begins, takes_turns};
use crate::{Admission, Append, Error};

/// Refuses a run that may not wait, if another run has the turn or waits for it. The session is
/// locked.
pub(in crate::postgres) async fn check_admission(
    db: &Db,
    admission: &Admission,
) -> Result<(), Failure> {
    const HOLDER: &str = "SELECT r.run_id FROM session_turns t JOIN runs r ON r.run = t.run \
         WHERE t.session_id = $1 ORDER BY t.has_begun DESC, t.run LIMIT 1";
    let Some((session_id, OnBusy::Reject)) = takes_turns(&admission.run) else { return Ok(()) };
    match db.query_first(HOLDER, &[&indexed(session_id)]).await? {
        Some(holder) => Err(busy(session_id, holder.try_get(0)?)),
        None => Ok(()),
    }
}

/// Refuses the start of a run while another one of its session is running. A waiting run checks its
/// turn before it starts; this catches a check that was too early. The session is locked.
pub(in crate::postgres) async fn check_beginning(
    db: &Db,
    append: &Append,
    run: i64,
) -> Result<(), Failure> {
    const OTHER: &str = "SELECT r.run_id FROM session_turns t JOIN runs r ON r.run = t.run \
         WHERE t.session_id = $1 AND t.has_begun AND t.run <> $2 LIMIT 1";
    let Some((session_id, _)) = takes_turns(&append.run).filter(|_| begins(&append.events)) else {
        return Ok(());
    };
    match db.query_first(OTHER, &[&indexed(session_id), &run]).await? {
        Some(other) => Err(busy(session_id, other.try_get(0)?)),
        None => Ok(()),
    }
}

fn busy(session_id: &str, holder: String) -> Failure {
    match run_id(holder) {
        Ok(run_id) => Error::SessionBusy { session_id: session_id.to_owned(), run_id }.into(),
        Err(failure) => failure,
    }
}

/// Adds newly admitted runs to the queue, and updates runs that have started or ended.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    const LINE_UP: &str = "INSERT INTO session_turns (run, session_id, waits, has_begun) \
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::boolean[])";
    const BEGIN: &str = "UPDATE session_turns SET has_begun = TRUE WHERE run = ANY($1)";
    const LEAVE: &str = "DELETE FROM session_turns WHERE run = ANY($1)";
    let (mut new, mut sessions, mut waits, mut have_begun) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut beginning, mut over) = (Vec::new(), Vec::new());
    for Grown { number, run, events, is_new } in grown {
        let Some((session_id, on_busy)) = takes_turns(run) else { continue };
        match (is_new, run.status.is_terminal()) {
            (true, true) => {}
            (false, true) => over.push(*number),
            (true, false) => {
                new.push(*number);
                sessions.push(indexed(session_id));
                waits.push(matches!(on_busy, OnBusy::Enqueue | OnBusy::Reject));
                have_begun.push(!run.attempts.is_empty());
            }
            (false, false) if begins(events) => beginning.push(*number),
            (false, false) => {}
        }
    }
    let mut steps = Vec::new();
    if !new.is_empty() {
        steps.push(Step::Execute(LINE_UP, vec![&new, &sessions, &waits, &have_begun]));
    }
    if !beginning.is_empty() {
        steps.push(Step::Execute(BEGIN, vec![&beginning]));
    }
    if !over.is_empty() {
        steps.push(Step::Execute(LEAVE, vec![&over]));
    }
    if !steps.is_empty() {
        db.pipeline(&steps).await?;
    }
    Ok(())
}
