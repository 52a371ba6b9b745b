//! Check of a registry for consistency: the database, every journal, every projection, every file.

use std::collections::BTreeSet;
use std::io::Write as _;

use errand_model::event::Event;
use errand_model::run::Run;
use errand_model::{Head, RunId};

use crate::private_file::private;
use crate::problem::{CheckReport, StoreProblem};
use crate::sqlite::{Inspected, Sqlite};
use crate::{Error, JournalFile, Registry, VerifiedJournal, files, rebuild, verify};

/// Repair of files that lack events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// No repair: problems are only reported.
    Nothing,
    /// Adds missing events to a journal's file. A file that has other events than the database's
    /// intact journal is put aside and written anew. The database is never changed.
    Files,
}

/// Checks a whole registry. Repaired problems are reported separately.
///
/// # Errors
///
/// If the database cannot be read at all, or a file cannot be repaired.
pub fn check(registry: &Registry, store: &Sqlite, repair: Repair) -> Result<CheckReport, Error> {
    let mut report = CheckReport::default();
    let pragmas = store.pragmas()?;
    if pragmas.journal_mode != "wal" || !pragmas.is_synchronous {
        report.problems.push(StoreProblem::NotDurable { found: format!("{pragmas:?}") });
    }
    for reason in store.integrity_problems()? {
        report.problems.push(StoreProblem::Database { reason });
    }
    let mut known = BTreeSet::new();
    for run_id in store.run_ids()? {
        report.runs += 1;
        let Ok(run_id) = RunId::try_from(run_id.clone()) else {
            let what = "its id is none".to_owned();
            report.problems.push(StoreProblem::Projection { run_id, what });
            continue;
        };
        match store.inspect(&run_id) {
            Ok(Some(inspected)) => {
                let holds = check_run(&run_id, &inspected, &mut report.problems);
                // A broken journal cannot repair a file.
                let repair = if holds { repair } else { Repair::Nothing };
                let mut found = Vec::new();
                match check_file(registry, &run_id, &inspected.events, repair, &mut found)? {
                    FileState::Mended => report.mended.append(&mut found),
                    FileState::AsFound => report.problems.append(&mut found),
                }
            }
            // Removed meanwhile.
            Ok(None) => {}
            Err(Error::Damaged { run_id, reason }) => {
                report.problems.push(StoreProblem::Projection { run_id, what: reason });
            }
            Err(error) => return Err(error),
        }
        known.insert(run_id);
    }
    report.sessions = store.count_sessions()?;
    for run_id in rebuild::run_files(registry, &mut report).unwrap_or_default() {
        if !known.contains(&run_id) && store.inspect(&run_id)?.is_none() {
            report.problems.push(StoreProblem::Unknown { run_id });
        }
    }
    Ok(report)
}

/// Compares the rows of a run with its journal. Returns true if the journal is whole.
fn check_run(run_id: &RunId, inspected: &Inspected, problems: &mut Vec<StoreProblem>) -> bool {
    let mut head = Head::EMPTY;
    for event in &inspected.events {
        if let Err(broken) = head.verify(event) {
            problems.push(StoreProblem::Chain { run_id: run_id.clone(), broken });
            return false;
        }
    }
    let is_whole = inspected.head == Some(head);
    let mut differs = |what: &str| {
        let (run_id, what) = (run_id.to_string(), what.to_owned());
        problems.push(StoreProblem::Projection { run_id, what });
    };
    if inspected.head != Some(head) {
        differs("the end of its journal");
    }
    match Run::fold(&inspected.events) {
        Ok(run) => {
            if inspected.status != run.status.name() {
                differs("its status");
            }
            if inspected.ended_at != run.status.ended_at() {
                differs("when it ended");
            }
            if inspected.epoch < run.epoch {
                differs("its last lease");
            }
            if inspected.stored.as_ref().is_some_and(|stored| *stored != run) {
                differs("its stored fold");
            }
        }
        Err(error) => {
            let reason = error.to_string();
            problems.push(StoreProblem::Fold { run_id: run_id.clone(), reason });
        }
    }
    is_whole
}

/// Result of the check of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    AsFound,
    Mended,
}

/// Compares a run's file with its journal; nothing is ever removed from a file.
fn check_file(
    registry: &Registry,
    run_id: &RunId,
    events: &[Event],
    repair: Repair,
    problems: &mut Vec<StoreProblem>,
) -> Result<FileState, Error> {
    let file = match JournalFile::read(registry, run_id) {
        Ok(file) => file,
        Err(error) => {
            problems.push(error.into());
            return Ok(FileState::AsFound);
        }
    };
    let has_torn_line = !file.problems.is_empty();
    let mut lines = String::new();
    let mut missing = 0;
    for event in events {
        match file.events.binary_search_by_key(&event.seq, |found| found.seq) {
            Ok(index) if file.events.get(index) == Some(event) => {}
            Ok(_) => {
                problems.push(StoreProblem::FileDiffers { run_id: run_id.clone(), seq: event.seq });
                return if repair == Repair::Files {
                    write_anew(registry, run_id, events).map(|()| FileState::Mended)
                } else {
                    Ok(FileState::AsFound)
                };
            }
            Err(_) => {
                missing += 1;
                lines.push_str(&event.to_json_line());
                lines.push('\n');
            }
        }
    }
    // Lines that a killed process left unfinished do not matter if all events are there.
    if missing == 0 && file.is_in_order {
        return Ok(FileState::AsFound);
    }
    let last = file.events.last().map_or(0, |event| event.seq);
    // A writer that died leaves events missing at the end of the file only.
    let is_behind = file.is_in_order && usize::try_from(last) == Ok(file.events.len());
    problems.extend(file.problems);
    problems.push(if missing == 0 {
        StoreProblem::FileDisordered { run_id: run_id.clone() }
    } else {
        StoreProblem::FileBehind { run_id: run_id.clone(), missing }
    });
    if repair == Repair::Nothing {
        return Ok(FileState::AsFound);
    }
    if !is_behind {
        return write_anew(registry, run_id, events).map(|()| FileState::Mended);
    }
    let path = registry.run_events(run_id);
    // Ends an unfinished line; an empty line is ignored by readers.
    let start = if has_torn_line { "\n" } else { "" };
    private()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{start}{lines}").as_bytes()))
        .map(|()| FileState::Mended)
        .map_err(|source| Error::File { doing: "mend", path, source })
}

/// Puts a journal's file with wrong events aside, and writes the file anew.
fn write_anew(registry: &Registry, run_id: &RunId, events: &[Event]) -> Result<(), Error> {
    let path = registry.run_events(run_id);
    let aside = registry.run_events_damaged(run_id);
    // The file that was put aside first is closest to the original: keep it.
    if !aside.exists() {
        files::rename(&path, &aside)?;
    }
    let mut lines = String::new();
    for event in events {
        event.write_json_line(&mut lines);
        lines.push('\n');
    }
    Ok(files::write_atomic(&path, lines.as_bytes(), files::Sync::Yes)?)
}

/// Checks the journal of one run for `errand verify`.
///
/// # Errors
///
/// [`Error::NoRun`], [`Error::Damaged`] if the hash chain is broken.
pub fn verify_run(store: &Sqlite, run_id: &RunId) -> Result<VerifiedJournal, Error> {
    let Some(inspected) = store.inspect(run_id)? else {
        return Err(Error::NoRun { run_id: run_id.clone() });
    };
    verify(&inspected.events)
        .map_err(|broken| Error::Damaged { run_id: run_id.to_string(), reason: broken.to_string() })
}
