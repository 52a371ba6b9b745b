//! Admission of runs.

use errand_model::Head;
use errand_model::event::{Event, RunCreated};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::events::{insert_events, put_state};
use super::{Operation, SyncPoint};
use super::{dead_letter, document, session_events, turn};
use crate::change::of_admission;
use crate::fence::verify;
use crate::sqlite::failure::Failure;
use crate::sqlite::journal::Files;
use crate::sqlite::row::{damaged, fingerprint, integer, json};
use crate::{Admission, Admitted, Error, Holder, Lease, StoreChange};

/// The number of a run's first lease.
const FIRST_EPOCH: u64 = 1;

/// [`crate::Store::admit`].
pub(in crate::sqlite) struct Admit(pub(in crate::sqlite) Admission);

impl Operation for Admit {
    type Output = Admitted;

    fn run(&self, connection: &Connection) -> Result<Admitted, Failure> {
        if let Some(standing_in) = existing(connection, &self.0)? {
            return Ok(standing_in);
        }
        check(connection, &self.0)?;
        dead_letter::check(connection, &self.0)?;
        insert(connection, &self.0, 0)?;
        session_events::project(connection, &self.0.events)?;
        Ok(Admitted::Created)
    }

    fn journal(&self, output: &Admitted, files: &mut Files) {
        if *output == Admitted::Created {
            files.add(&self.0.events);
        }
    }

    fn changes(&self, output: &Admitted) -> Vec<StoreChange> {
        if *output == Admitted::Created { of_admission(&self.0) } else { Vec::new() }
    }
}

/// [`crate::Store::admit_held`].
pub(in crate::sqlite) struct AdmitHeld(
    pub(in crate::sqlite) Admission,
    pub(in crate::sqlite) Holder,
);

impl Operation for AdmitHeld {
    type Output = (Admitted, Option<Lease>);

    // The holder acknowledges the run after the start of its attempt, which is synced. A run that may
    // have to wait for its turn in a session is acknowledged before; one with a key, by any caller. The
    // answer with an existing run acknowledges that run.
    fn sync_point(&self) -> SyncPoint {
        let spec = &self.0.run.spec;
        if self.0.dedup || spec.session_turn.is_some() || spec.idempotency_key.is_some() {
            SyncPoint::BeforeVisible
        } else {
            SyncPoint::WithLaterCommit
        }
    }

    fn run(&self, connection: &Connection) -> Result<Self::Output, Failure> {
        if let Some(standing_in) = existing(connection, &self.0)? {
            return Ok((standing_in, None));
        }
        check(connection, &self.0)?;
        dead_letter::check(connection, &self.0)?;
        let lease = insert_held(connection, &self.0, &self.1)?;
        Ok((Admitted::Created, Some(lease)))
    }

    fn journal(&self, output: &Self::Output, files: &mut Files) {
        if output.0 == Admitted::Created {
            files.add(&self.0.events);
        }
    }

    fn changes(&self, output: &Self::Output) -> Vec<StoreChange> {
        if output.0 == Admitted::Created { of_admission(&self.0) } else { Vec::new() }
    }
}

/// Returns the run that stands in for the one to be admitted; `None` if there is none.
pub(super) fn existing(
    connection: &Connection,
    admission: &Admission,
) -> Result<Option<Admitted>, Failure> {
    const BY_KEY: &str = "SELECT run_id, fingerprint FROM runs \
         WHERE ifnull(namespace, '') = ?2 AND idempotency_key = ?1";
    const BY_FINGERPRINT: &str = "SELECT run_id, fingerprint FROM runs \
         WHERE fingerprint_key = ?1 AND status NOT IN ('failed', 'cancelled') ORDER BY run_id DESC";
    const TOUCH: &str = "UPDATE runs SET fingerprint = fingerprint \
         WHERE run_id = ?1 AND ended_at_ms IS NULL";
    let spec = &admission.run.spec;
    let (wanted, wanted_key) = fingerprint(&spec.fingerprint);
    if let Some(key) = &spec.idempotency_key {
        let found: Option<(String, Vec<u8>)> = connection
            .prepare_cached(BY_KEY)?
            .query_row([key.as_str(), namespace(spec)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((run_id, fingerprint)) = found {
            let run_id = parse_id(run_id)?;
            if fingerprint != wanted {
                return Err(Error::IdempotencyConflict { key: key.clone(), run_id }.into());
            }
            return Ok(Some(Admitted::Existing(run_id)));
        }
    }
    if admission.dedup {
        let mut statement = connection.prepare_cached(BY_FINGERPRINT)?;
        let mut rows = statement.query([wanted_key])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, Vec<u8>>(1)? == wanted {
                let run_id: String = row.get(0)?;
                // The admission of a live run may not be synced yet. A commit that changes no page would
                // sync nothing.
                connection.prepare_cached(TOUCH)?.execute([&run_id])?;
                return Ok(Some(Admitted::Existing(parse_id(run_id)?)));
            }
        }
    }
    Ok(None)
}

fn namespace(spec: &RunCreated) -> &str {
    spec.namespace.as_deref().unwrap_or_default()
}

fn parse_id(text: String) -> Result<errand_model::RunId, Failure> {
    errand_model::RunId::try_from(text)
        .map_err(|error| damaged(&error.text, "its id is none").into())
}

/// Refuses a broken journal, and a run whose session is busy and that may not wait.
pub(super) fn check(connection: &Connection, admission: &Admission) -> Result<(), Failure> {
    turn::check_admission(connection, admission)?;
    document::check(connection, &admission.documents)?;
    verify(&admission.run.id, Head::EMPTY, &admission.events, admission.head)?;
    Ok(())
}

/// Writes the run. All checks are done.
///
/// An idempotency key that another run has (one of the two was imported) stays with that run.
pub(in crate::sqlite) fn insert(
    connection: &Connection,
    admission: &Admission,
    epoch: u64,
) -> Result<i64, Failure> {
    const SQL: &str = "INSERT INTO runs (run_id, kind, agent, name, labels, session_id, \
         parent_run_id, idempotency_key, fingerprint, fingerprint_key, status, epoch, head_seq, \
         head_hash, namespace, class) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
         CASE WHEN EXISTS (SELECT 1 FROM runs WHERE ifnull(namespace, '') = ifnull(?15, '') \
         AND idempotency_key = ?8) THEN NULL ELSE ?8 END, \
         ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    const QUEUE: &str =
        "INSERT INTO queue (run, priority, ready_at_ms, class) VALUES (?1, ?2, ?3, ?4)";
    const END: &str = "UPDATE runs SET ended_at_ms = ?2 WHERE run = ?1";
    let run = &admission.run;
    let spec = &run.spec;
    let labels = if spec.labels.is_empty() { None } else { Some(json(&spec.labels)?) };
    let (fingerprint, fingerprint_key) = fingerprint(&spec.fingerprint);
    let class = class(spec)?;
    connection.prepare_cached(SQL)?.execute(params![
        run.id.as_str(),
        super::super::read::kind_name(spec.kind),
        spec.agent.name,
        spec.name,
        labels,
        spec.session_id,
        spec.parent_run_id.as_ref().map(errand_model::RunId::as_str),
        spec.idempotency_key,
        fingerprint,
        fingerprint_key,
        run.status.name(),
        integer(epoch),
        integer(admission.head.seq),
        admission.head.hash.as_bytes(),
        spec.namespace,
        class,
    ])?;
    let number = connection.last_insert_rowid();
    insert_events(connection, number, &admission.events)?;
    super::usage::project(connection, number, run, &admission.events)?;
    turn::line_up(connection, number, run)?;
    dead_letter::note(connection, number, run, &admission.events)?;
    dead_letter::note_repeat(connection, run)?;
    if let Some(ended_at) = run.status.ended_at() {
        put_state(connection, number, run, admission.head.seq)?;
        connection.prepare_cached(END)?.execute(params![number, ended_at.as_millis()])?;
    } else if let Some(pending) = &admission.queued {
        connection.prepare_cached(QUEUE)?.execute(params![
            number,
            pending.priority,
            pending.ready_at.as_millis(),
            class,
        ])?;
    }
    document::write(connection, &admission.documents)?;
    Ok(number)
}

/// Writes the run and its first lease. All checks are done.
pub(super) fn insert_held(
    connection: &Connection,
    admission: &Admission,
    holder: &Holder,
) -> Result<Lease, Failure> {
    let number = insert(connection, admission, FIRST_EPOCH)?;
    session_events::project(connection, &admission.events)?;
    let lease = Lease {
        run_id: admission.run.id.clone(),
        epoch: FIRST_EPOCH,
        holder: holder.clone(),
        expires_at: None,
    };
    super::lease::put(connection, number, &lease)?;
    Ok(lease)
}

/// Returns the events of an admission, for the files.
pub(super) fn events(admission: &Admission) -> &[Event] {
    &admission.events
}

/// Returns the run's class in the queue, as text.
fn class(spec: &RunCreated) -> Result<String, Failure> {
    spec.class().to_key().map_err(|error| damaged("", format!("its class: {error}")).into())
}
