//! Rebuild of the database from the files beside it.
//!
//! Every acknowledged event is also in the file of its run. Facts that the files lack are lost: a
//! run's place in the queue and unanswered requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::{Head, RunId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::{CheckReport, StoreProblem};
use crate::sqlite::{Rebuilt, Restored};
use crate::{
    Error, FinalSnapshot, Holder, JournalFile, Lease, Registry, RemovedSessions, SessionState,
    files,
};

/// Length limit of a session's state file.
const SESSION_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Rebuilds the database from the files of runs and puts it in the place of the old one, which is
/// kept as `registry.db.damaged-<ms>`. A run that cannot be restored is reported and left out.
///
/// Writers of other processes notice the change and continue with the new database.
///
/// # Errors
///
/// [`Error::Elsewhere`] if the runs are in a server's database; [`Error::Missing`] if there are no
/// files of runs; [`Error::Full`], [`Error::ReadOnly`], [`Error::File`]. The old database, if any,
/// is then still in its place.
pub fn rebuild(registry: &Registry, now: Timestamp) -> Result<CheckReport, Error> {
    if registry.is_elsewhere() && !registry.database().exists() {
        return Err(Error::Elsewhere { root: registry.root().to_owned() });
    }
    let mut report = CheckReport::default();
    let found = run_files(registry, &mut report)?;
    let mut rebuilt = Rebuilt::begin(registry)?;
    let mut sessions = BTreeMap::new();
    for run_id in &found {
        if let Some(restored) = restore(registry, run_id, &mut report.problems) {
            session_of(registry, &restored, now, &mut sessions, &mut report.problems);
            match rebuilt.add(&restored) {
                Ok(()) => report.runs += 1,
                Err(error @ (Error::Full { .. } | Error::ReadOnly { .. })) => return Err(error),
                Err(error) => {
                    let (run_id, reason) = (run_id.clone(), error.to_string());
                    report.problems.push(StoreProblem::NotRestored { run_id, reason });
                }
            }
        }
    }
    let removed = RemovedSessions::read(registry)?;
    rebuilt.add_session_events(&removed)?;
    for session in sessions.values() {
        if !removed.covers(&session.session_id, session.updated_at) {
            rebuilt.add_session(session)?;
        }
    }
    report.sessions = rebuilt.count_sessions()?;
    (report.definitions, report.definitions_lost) = rebuilt.carry_over()?;
    rebuilt.put_in_place(now)?;
    Ok(report)
}

/// Lists the runs that have files, oldest first.
pub(crate) fn run_files(
    registry: &Registry,
    report: &mut CheckReport,
) -> Result<Vec<RunId>, Error> {
    let folder = registry.runs();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Missing { path: registry.database() });
        }
        Err(source) => return Err(Error::File { doing: "read", path: folder, source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry =
            entry.map_err(|source| Error::File { doing: "read", path: folder.clone(), source })?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A temporary file of an unfinished write.
        if name.starts_with('.') {
            continue;
        }
        let (id, suffix) = name.split_once('.').unwrap_or((&name, ""));
        match id.parse::<RunId>() {
            Ok(run_id) if matches!(suffix, "json" | "events.jsonl") => found.push(run_id),
            Ok(_) if is_ours(suffix) => {}
            Ok(_) | Err(_) => {
                report.problems.push(StoreProblem::ForeignFile { path: folder.join(&*name) });
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Returns true for the suffix of any other file or folder of a run.
fn is_ours(suffix: &str) -> bool {
    let whole =
        ["final.json", "session.json", "log", "d", "sock", "events.jsonl.damaged", "reserve"];
    whole.contains(&suffix) || suffix.starts_with("log.")
}

/// Restores a run from its files; `None` and a reported problem if that is impossible.
fn restore(
    registry: &Registry,
    run_id: &RunId,
    problems: &mut Vec<StoreProblem>,
) -> Option<Restored> {
    let file = match JournalFile::read(registry, run_id) {
        Ok(file) => file,
        Err(error) => {
            problems.push(error.into());
            return None;
        }
    };
    problems.extend(file.problems);
    let (mut events, mut head) = whole_part(run_id, file.events, problems);
    match FinalSnapshot::read(registry, run_id) {
        Ok(Some(snapshot)) if snapshot.head_before == head && !events.is_empty() => {
            if let Some(last) = snapshot.events.last() {
                head = Head { seq: last.seq, hash: last.hash };
            }
            events.extend(snapshot.events);
        }
        Ok(Some(_) | None) => {}
        Err(error) => problems.push(error.into()),
    }
    if events.is_empty() {
        problems.push(StoreProblem::NoJournal { run_id: run_id.clone() });
        return None;
    }
    match Run::fold(&events) {
        Ok(run) => {
            let lease = lease_of(&run);
            Some(Restored { run, head, events, lease })
        }
        Err(error) => {
            let reason = error.to_string();
            problems.push(StoreProblem::Fold { run_id: run_id.clone(), reason });
            None
        }
    }
}

/// The events up to the first missing or changed one, and their end.
fn whole_part(
    run_id: &RunId,
    mut events: Vec<Event>,
    problems: &mut Vec<StoreProblem>,
) -> (Vec<Event>, Head) {
    let mut head = Head::EMPTY;
    let mut whole = 0;
    for event in &events {
        if let Err(broken) = head.verify(event) {
            problems.push(StoreProblem::Chain { run_id: run_id.clone(), broken });
            break;
        }
        whole += 1;
    }
    events.truncate(whole);
    (events, head)
}

/// The lease of the last attempt, if it is not over: reconciling has to know whether its holder
/// lives.
fn lease_of(run: &Run) -> Option<Lease> {
    if run.status.is_terminal() || run.is_coordinating() {
        // A coordinator is not under a lease.
        return None;
    }
    let attempt = run.live_attempt()?;
    let holder =
        Holder { host: attempt.host.clone(), process: attempt.supervisor.clone(), worker: None };
    Some(Lease { run_id: run.id.clone(), epoch: attempt.epoch, holder, expires_at: None })
}

/// Members that are read of a session's file; others are for people.
#[derive(Deserialize)]
struct SessionFile {
    session_id: String,
    revision: u64,
    state: Value,
}

/// Records the session's state that lies beside a run, if it is the newest one of its session.
fn session_of(
    registry: &Registry,
    restored: &Restored,
    now: Timestamp,
    sessions: &mut BTreeMap<String, SessionState>,
    problems: &mut Vec<StoreProblem>,
) {
    let path: PathBuf = registry.run_session(&restored.run.id);
    let text = match files::read(registry, &path, SESSION_LIMIT_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => return,
        Err(error) => {
            problems.push(error.into());
            return;
        }
    };
    let file: SessionFile = match serde_json::from_slice(&text) {
        Ok(file) => file,
        Err(error) => {
            problems.push(StoreProblem::Session { path, reason: error.to_string() });
            return;
        }
    };
    if restored.run.spec.session_id.as_deref() != Some(&file.session_id) {
        let reason = "it is of another session than its run".to_owned();
        problems.push(StoreProblem::Session { path, reason });
        return;
    }
    let known = sessions.get(&file.session_id).map_or(0, |session| session.revision);
    if file.revision > known {
        let updated_at = modified_at(&path).unwrap_or(now);
        let SessionFile { session_id, revision, state } = file;
        let session = SessionState { session_id, revision, state, updated_at };
        sessions.insert(session.session_id.clone(), session);
    }
}

/// Returns the time of the last modification of a file.
fn modified_at(path: &Path) -> Option<Timestamp> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}
