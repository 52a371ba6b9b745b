//! Names and times of removed sessions, and ids of runs that were imported without their sessions.
//! Journals still mention those sessions, and a rebuilt database must not restore them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use errand_model::{RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::{self, Sync, write_atomic};
use crate::private_file::private;
use crate::registry::RegistryError;
use crate::{Error, Registry};

/// A longer file is cut to its newer half: after so many removals, the runs of the oldest sessions
/// are gone too.
const LIMIT_BYTES: u64 = 8 * 1024 * 1024;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Session { session_id: String, removed_at_ms: Timestamp },
    Import { imported_run_id: RunId },
}

/// Sessions that journals mention and that must not be restored.
#[derive(Debug, Default)]
pub struct RemovedSessions {
    /// Time of each session's last removal, by session name.
    at: BTreeMap<String, Timestamp>,
    /// Runs imported from other registries.
    imported: BTreeSet<RunId>,
}

impl RemovedSessions {
    /// Notes the removal of a session, durably.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`].
    pub fn note(registry: &Registry, session_id: &str, at: Timestamp) -> Result<(), RegistryError> {
        append(registry, &Line::Session { session_id: session_id.to_owned(), removed_at_ms: at })
    }

    /// Notes the import of a run, durably: its session events concern a session of another
    /// registry.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`].
    pub fn note_import(registry: &Registry, run_id: &RunId) -> Result<(), RegistryError> {
        append(registry, &Line::Import { imported_run_id: run_id.clone() })
    }

    /// Reads the file. Unreadable lines are ignored.
    ///
    /// # Errors
    ///
    /// If the file exists and cannot be read.
    pub(crate) fn read(registry: &Registry) -> Result<Self, Error> {
        let path = registry.removed_sessions();
        let text = files::read(registry, &path, 2 * LIMIT_BYTES)?.unwrap_or_default();
        let mut removed = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
            match line {
                Line::Session { session_id, removed_at_ms } => {
                    removed.at.insert(session_id, removed_at_ms);
                }
                Line::Import { imported_run_id } => {
                    removed.imported.insert(imported_run_id);
                }
            }
        }
        Ok(removed)
    }

    /// Returns true if the session events of a run concern sessions of another registry.
    pub(crate) fn is_imported(&self, run_id: &RunId) -> bool {
        self.imported.contains(run_id)
    }

    /// Returns true if events of a session at `at` were removed with it.
    pub(crate) fn covers(&self, session_id: &str, at: Timestamp) -> bool {
        self.at.get(session_id).is_some_and(|removed_at| at <= *removed_at)
    }
}

/// Adds a line, durably.
fn append(registry: &Registry, line: &Line) -> Result<(), RegistryError> {
    let path = registry.removed_sessions();
    let failed = |source| RegistryError::File { doing: "write", path: path.clone(), source };
    let line = serde_json::to_string(line).map_err(|error| failed(error.into()))?;
    let mut file = private().append(true).create(true).open(&path).map_err(failed)?;
    // One write, so that two concurrent writers do not mix their lines.
    file.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LIMIT_BYTES {
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let lines: Vec<&str> = text.lines().collect();
        let newer = lines.get(lines.len() / 2..).unwrap_or_default().join("\n") + "\n";
        write_atomic(&path, newer.as_bytes(), Sync::Yes)?;
    }
    Ok(())
}
