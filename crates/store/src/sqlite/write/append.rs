//! Appends to journals.

use errand_model::Event;
use errand_model::event::EventBody;
use rusqlite::{Connection, params};

use super::events::{insert_events, put_state};
use super::{Operation, SyncPoint, admit, dead_letter, document, session_events, turn, usage};
use crate::change::{of_admission, of_append, of_family};
use crate::fence::check_keys;
use crate::sqlite::failure::Failure;
use crate::sqlite::journal::Files;
use crate::sqlite::row::{CurrentRow, integer};
use crate::stored_fold::is_behind;
use crate::{Admission, Append, Appended, Error, Holder, Lease, StoreChange};

/// The one status in which a run may be in the queue.
const PENDING: &str = "pending";

/// [`crate::Store::append`].
pub(in crate::sqlite) struct AppendEvents(pub(in crate::sqlite) Append);

impl Operation for AppendEvents {
    type Output = Appended;

    fn sync_point(&self) -> SyncPoint {
        let Append { events, documents, answered, snapshot, release, .. } = &self.0;
        if !documents.is_empty() || !answered.is_empty() || *release {
            SyncPoint::BeforeVisible
        } else if events.iter().all(tells_of_process) {
            SyncPoint::WithLaterCommit
        } else if *snapshot {
            SyncPoint::BeforeVisible
        } else {
            // Work of a live attempt, which only this process carries on: many processes sync the
            // steps of their runs together.
            SyncPoint::BeforeAnswer
        }
    }

    fn run(&self, connection: &Connection) -> Result<Appended, Failure> {
        let current = CurrentRow::of(connection, &self.0.run.id)?;
        if current.standing().is_made(&self.0) {
            return Ok(Appended { open_requests: current.open_requests });
        }
        current.standing().check_held(&self.0)?;
        turn::check_beginning(connection, &self.0, current.run)?;
        document::check(connection, &self.0.documents)?;
        write(connection, &self.0, &current)
    }

    fn journal(&self, _: &Appended, files: &mut Files) {
        files.add(&self.0.events);
    }

    fn changes(&self, _: &Appended) -> Vec<StoreChange> {
        of_append(&self.0)
    }
}

/// Returns true for an event which only tells that a process of this machine runs: after a loss of
/// power it does not.
fn tells_of_process(event: &Event) -> bool {
    match event.kind.as_str() {
        "run.started" => true,
        "attempt.running" => matches!(
            event.body(),
            Ok(EventBody::AttemptRunning(running)) if running.locator.is_none()
        ),
        _ => false,
    }
}

/// [`crate::Store::append_at_rest`].
pub(in crate::sqlite) struct AppendAtRest(pub(in crate::sqlite) Append);

impl Operation for AppendAtRest {
    type Output = Appended;

    fn run(&self, connection: &Connection) -> Result<Appended, Failure> {
        let current = CurrentRow::of(connection, &self.0.run.id)?;
        if current.standing().is_made(&self.0) {
            return Ok(Appended { open_requests: current.open_requests });
        }
        current.standing().check_at_rest(&self.0)?;
        document::check(connection, &self.0.documents)?;
        write(connection, &self.0, &current)
    }

    fn journal(&self, _: &Appended, files: &mut Files) {
        files.add(&self.0.events);
    }

    fn changes(&self, _: &Appended) -> Vec<StoreChange> {
        of_append(&self.0)
    }
}

/// [`crate::Store::append_and_admit`].
pub(in crate::sqlite) struct AppendAndAdmit {
    pub(in crate::sqlite) parent: Append,
    pub(in crate::sqlite) child: Admission,
    pub(in crate::sqlite) holder: Holder,
}

impl Operation for AppendAndAdmit {
    type Output = Lease;

    fn run(&self, connection: &Connection) -> Result<Lease, Failure> {
        let current = CurrentRow::of(connection, &self.parent.run.id)?;
        current.standing().check_held(&self.parent)?;
        document::check(connection, &self.parent.documents)?;
        check_child(connection, &self.child)?;
        write(connection, &self.parent, &current)?;
        admit::insert_held(connection, &self.child, &self.holder)
    }

    fn journal(&self, _: &Lease, files: &mut Files) {
        files.add(&self.parent.events);
        files.add(admit::events(&self.child));
    }

    fn changes(&self, _: &Lease) -> Vec<StoreChange> {
        let mut all = of_append(&self.parent);
        all.extend(of_admission(&self.child));
        all
    }
}

/// [`crate::Store::append_and_admit_all`].
pub(in crate::sqlite) struct AppendAndAdmitAll {
    pub(in crate::sqlite) parent: Append,
    pub(in crate::sqlite) children: Vec<Admission>,
}

impl Operation for AppendAndAdmitAll {
    type Output = Appended;

    fn run(&self, connection: &Connection) -> Result<Appended, Failure> {
        let current = CurrentRow::of(connection, &self.parent.run.id)?;
        if current.standing().is_made(&self.parent) {
            return Ok(Appended { open_requests: current.open_requests });
        }
        current.standing().check_released(&self.parent)?;
        turn::check_beginning(connection, &self.parent, current.run)?;
        document::check(connection, &self.parent.documents)?;
        check_keys(&self.children)?;
        for child in &self.children {
            check_child(connection, child)?;
        }
        let appended = write(connection, &self.parent, &current)?;
        for child in &self.children {
            admit::insert(connection, child, 0)?;
            session_events::project(connection, &child.events)?;
        }
        Ok(appended)
    }

    fn journal(&self, _: &Appended, files: &mut Files) {
        files.add(&self.parent.events);
        for child in &self.children {
            files.add(admit::events(child));
        }
    }

    fn changes(&self, _: &Appended) -> Vec<StoreChange> {
        of_family(&self.parent, &self.children)
    }
}

/// Refuses a child that cannot be admitted together with its parent's events.
fn check_child(connection: &Connection, child: &Admission) -> Result<(), Failure> {
    if let Some(crate::Admitted::Existing(run_id)) = admit::existing(connection, child)? {
        let key = child.run.spec.idempotency_key.clone().unwrap_or_default();
        return Err(Error::IdempotencyConflict { key, run_id }.into());
    }
    admit::check(connection, child)
}

/// Writes an append after all checks.
fn write(
    connection: &Connection,
    append: &Append,
    current: &CurrentRow,
) -> Result<Appended, Failure> {
    const HEAD: &str = "UPDATE runs SET head_seq = ?2, head_hash = ?3 WHERE run = ?1";
    const ALL: &str = "UPDATE runs SET head_seq = ?2, head_hash = ?3, status = ?4, \
         ended_at_ms = ?5 WHERE run = ?1";
    const ANSWERED: &str = "DELETE FROM requests WHERE id = ?1 AND run = ?2";
    let run = current.run;
    document::write(connection, &append.documents)?;
    insert_events(connection, run, &append.events)?;
    usage::project(connection, run, &append.run, &append.events)?;
    session_events::project(connection, &append.events)?;
    turn::move_on(connection, run, append)?;
    dead_letter::note(connection, run, &append.run, &append.events)?;
    let ended_at = append.run.status.ended_at();
    let seq = append.head.seq;
    if append.snapshot || ended_at.is_some() || is_behind(&append.run, seq, current.state_seq) {
        put_state(connection, run, &append.run, seq)?;
    }
    let mut answered = 0;
    for id in &append.answered {
        answered += connection.prepare_cached(ANSWERED)?.execute(params![id, run])?;
    }
    place(connection, append, current)?;
    // Indexed columns are only written if they change.
    let (head_seq, head_hash) = (integer(seq), append.head.hash.as_bytes());
    let status = append.run.status.name();
    if status == current.status && ended_at.is_none() {
        connection.prepare_cached(HEAD)?.execute(params![run, head_seq, head_hash])?;
    } else {
        let ended_at = ended_at.map(errand_model::Timestamp::as_millis);
        connection
            .prepare_cached(ALL)?
            .execute(params![run, head_seq, head_hash, status, ended_at])?;
    }
    let answered = u32::try_from(answered).unwrap_or(u32::MAX);
    let is_over = append.run.status.is_terminal();
    let open = if is_over { 0 } else { current.open_requests.saturating_sub(answered) };
    Ok(Appended { open_requests: open })
}

/// Updates lease, queue and requests to the run's new state.
fn place(connection: &Connection, append: &Append, current: &CurrentRow) -> Result<(), Failure> {
    const UNLEASE: &str = "DELETE FROM leases WHERE run = ?1";
    const UNASK: &str = "DELETE FROM requests WHERE run = ?1";
    const UNQUEUE: &str = "DELETE FROM queue WHERE run = ?1";
    const QUEUE: &str = "INSERT INTO queue (run, priority, ready_at_ms, class) \
         SELECT ?1, ?2, ?3, class FROM runs WHERE run = ?1 \
         ON CONFLICT (run) DO UPDATE SET priority = ?2, ready_at_ms = ?3";
    let run = current.run;
    let is_over = append.run.status.is_terminal();
    if append.release || is_over {
        connection.prepare_cached(UNLEASE)?.execute([run])?;
    }
    if is_over && current.open_requests > 0 {
        connection.prepare_cached(UNASK)?.execute([run])?;
    }
    let is_pending = append.run.status.name() == PENDING;
    match &append.requeue {
        Some(pending) if is_pending => {
            connection.prepare_cached(QUEUE)?.execute(params![
                run,
                pending.priority,
                pending.ready_at.as_millis()
            ])?;
        }
        Some(_) | None if current.status == PENDING && !is_pending => {
            connection.prepare_cached(UNQUEUE)?.execute([run])?;
        }
        Some(_) | None => {}
    }
    Ok(())
}
