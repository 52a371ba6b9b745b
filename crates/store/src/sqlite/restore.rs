//! A rebuilt database that replaces the old one.

use std::fs::File;
use std::path::{Path, PathBuf};

use errand_model::event::{Event, EventBody};
use errand_model::run::Run;
use errand_model::{Head, Payload, Timestamp};
use rusqlite::{Connection, TransactionBehavior, params};

use super::carry_over::carry_over;
use super::connect::{Access, connect, is_there};
use super::failure::{Failure, explain};
use super::row::{integer, json, number};
use super::{busy, migrate, read, write};
use crate::{
    Admission, Blobs, DocumentChange, DocumentKind, DocumentWrite, Error, Expect, Lease, Pending,
    Registry, RemovedSessions, SessionState, files,
};

const DOING: &str = "is made anew";

/// A run restored from its files.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The fold of `events`.
    pub(crate) run: Run,
    /// End of the journal.
    pub(crate) head: Head,
    /// The whole journal.
    pub(crate) events: Vec<Event>,
    /// Lease of the last attempt, if that is not over.
    pub(crate) lease: Option<Lease>,
}

/// The new database beside the old one.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    registry: Registry,
    path: PathBuf,
    connection: Connection,
    /// Write lock on the old database, if it can still be locked.
    old: Option<Connection>,
}

impl Rebuilt {
    pub(crate) fn begin(registry: &Registry) -> Result<Self, Error> {
        let old = lock(&registry.database());
        let path = files::temporary_beside(&registry.database());
        let failed = |error| explain(error, &path, DOING);
        let mut connection = connect(&path, Access::Create).map_err(failed)?;
        busy::patiently(|| migrate::create_schema(&mut connection))
            .map_err(|failure| failure.explain(&path, DOING))?;
        // Nothing is acknowledged before the whole file is synced.
        connection.execute_batch("PRAGMA synchronous = OFF").map_err(failed)?;
        Ok(Self { registry: registry.clone(), path, connection, old })
    }

    /// Adds a run completely, or nothing of it.
    pub(crate) fn add(&mut self, restored: &Restored) -> Result<(), Error> {
        let Self { connection, path, .. } = self;
        add(connection, restored).map_err(|failure| failure.explain(path, DOING))
    }

    /// Restores sessions from the events of all journals, in the order of their times.
    pub(crate) fn add_session_events(&mut self, removed: &RemovedSessions) -> Result<(), Error> {
        let Self { registry, path, connection, .. } = self;
        sessions(connection, &Blobs::at(registry.blobs()), removed)
            .map_err(|failure| failure.explain(path, DOING))
    }

    /// Copies records that no file holds. Returns their number, and the reason why others may be
    /// missing.
    pub(crate) fn carry_over(&mut self) -> Result<(u64, Option<String>), Error> {
        let Self { old, path, connection, .. } = self;
        let Some(old) = old else {
            return Ok((0, Some("the old registry is gone, or is none".to_owned())));
        };
        carry_over(old, connection).map_err(|failure| failure.explain(path, DOING))
    }

    /// Returns the number of sessions.
    pub(crate) fn count_sessions(&self) -> Result<u64, Error> {
        let count: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))
            .map_err(|error| explain(error, &self.path, DOING))?;
        Ok(number(count))
    }

    /// Adds a session's state from its file, unless a newer one is known.
    pub(crate) fn add_session(&mut self, session: &SessionState) -> Result<(), Error> {
        const SQL: &str = "INSERT INTO sessions (session_id, revision, state, updated_at_ms) \
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT (session_id) DO UPDATE \
             SET revision = ?2, state = ?3, updated_at_ms = max(updated_at_ms, ?4) \
             WHERE revision < ?2";
        let state = json(&session.state).map_err(|failure| failure.explain(&self.path, DOING))?;
        let (revision, updated_at) = (integer(session.revision), session.updated_at.as_millis());
        self.connection
            .execute(SQL, params![session.session_id, revision, state, updated_at])
            .map_err(|error| explain(error, &self.path, DOING))?;
        Ok(())
    }

    /// Syncs the new database, moves the old one aside, and gives the new one its name.
    pub(crate) fn put_in_place(self, now: Timestamp) -> Result<(), Error> {
        let Self { registry, path, connection, .. } = &self;
        let failed = |error| explain(error, path, DOING);
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
        File::open(path).and_then(|file| file.sync_all()).map_err(|source| Error::File {
            doing: "sync",
            path: path.clone(),
            source,
        })?;
        let database = registry.database();
        let aside = beside(&database, &format!(".damaged-{}", now.as_millis()));
        // The log is moved before its database: a new database must never find an old log.
        move_if_there(&database, &aside)?;
        for suffix in ["-wal", "-shm"] {
            move_if_there(&beside(&database, suffix), &beside(&aside, suffix))?;
        }
        files::rename(path, &database)?;
        files::sync_folder_of(&database)?;
        // The lock on the old database ends here; a process that waited for it then finds a new
        // file.
        Ok(())
    }
}

impl Drop for Rebuilt {
    /// Removes the files beside the new database, and the database itself if it was not put in
    /// place.
    fn drop(&mut self) {
        for path in [self.path.clone(), beside(&self.path, "-wal"), beside(&self.path, "-shm")] {
            // Most of these files do not exist.
            drop(std::fs::remove_file(path));
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), Error> {
    match std::fs::rename(from, to) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { doing: "move aside", path: from.to_path_buf(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Takes the write lock on the old database for the lifetime of the connection.
fn lock(path: &Path) -> Option<Connection> {
    if !is_there(path) {
        return None;
    }
    let connection = connect(path, Access::Existing).ok()?;
    busy::patiently(|| Ok(connection.execute_batch("BEGIN IMMEDIATE")?)).ok()?;
    Some(connection)
}

fn add(connection: &mut Connection, restored: &Restored) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Restored { run, head, events, lease } = restored;
    let admission = Admission {
        run: run.clone(),
        head: *head,
        events: events.clone(),
        queued: if lease.is_none() { Pending::of(run) } else { None },
        dedup: false,
        redrives: false,
        documents: coordinator(run).into_iter().collect(),
    };
    let number = write::insert(&transaction, &admission, run.epoch)?;
    write::put_state(&transaction, number, run, head.seq)?;
    if let Some(lease) = lease {
        write::put_lease(&transaction, number, lease)?;
    }
    Ok(transaction.commit()?)
}

/// The files lack pending turns of a coordinator: one is added, so that it reads its children's
/// state.
fn coordinator(run: &Run) -> Option<DocumentWrite> {
    let is_coordinator = run.coordination.is_some() && !run.status.is_terminal();
    is_coordinator.then(|| DocumentWrite {
        kind: DocumentKind::Turn,
        namespace: run.spec.namespace.clone(),
        key: format!("{}/restored", run.id),
        expect: Expect::Anything,
        change: DocumentChange::Put {
            body: serde_json::json!({ "type": "look" }),
            due_at: Some(run.created_at),
        },
    })
}

/// Applies the events of all journals about sessions.
fn sessions(
    connection: &mut Connection,
    blobs: &Blobs,
    removed: &RemovedSessions,
) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (run, seq) in read::session_events(&transaction)? {
        let event = read::event_of(&transaction, run, seq)?;
        // An unreadable event was reported when its run was restored.
        let Ok(body) = event.body() else { continue };
        let Some(session_id) = write::session_of(&body) else { continue };
        if removed.is_imported(&event.run_id) || removed.covers(session_id, event.at) {
            continue;
        }
        write::project_sessions(&transaction, std::slice::from_ref(&event))?;
        if let EventBody::SessionUpdated(updated) = &body
            && let Some(state) = state_of(blobs, &updated.state)
        {
            put_state_if_newer(&transaction, session_id, updated.revision, &state)?;
        }
    }
    Ok(transaction.commit()?)
}

fn put_state_if_newer(
    connection: &Connection,
    session_id: &str,
    revision: u64,
    state: &str,
) -> Result<(), Failure> {
    const SQL: &str =
        "UPDATE sessions SET revision = ?2, state = ?3 WHERE session_id = ?1 AND revision < ?2";
    connection.prepare_cached(SQL)?.execute(params![session_id, integer(revision), state])?;
    Ok(())
}

/// Returns a state document as text; `None` if its blob is gone, so that the file beside the run is
/// used.
fn state_of(blobs: &Blobs, state: &Payload) -> Option<String> {
    match state {
        Payload::Json(value) => Some(value.to_string()),
        Payload::Blob(blob) => String::from_utf8(blobs.get(&blob.digest).ok()?).ok(),
        Payload::Text(_) | Payload::Base64(_) => None,
    }
}
