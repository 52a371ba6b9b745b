//! Terminal snapshot: the last events of a run in a file, written before the commit that ends it.
//!
//! If the writing process dies before the commit, a reconciler takes the run's end from the
//! snapshot. A snapshot that does not continue the run's journal exactly is ignored.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use errand_model::event::Event;
use errand_model::{Head, RunId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::Registry;
use crate::files::{self, Sync};
use crate::registry::RegistryError;

/// Version of the file's format.
const SCHEMA: u32 = 1;

/// A last commit has a few events of at most 32 KiB of data each.
const LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The events that end a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalSnapshot {
    /// Id of the run.
    pub run_id: RunId,
    /// Last attempt of the run.
    pub attempt: u32,
    /// The lease of that attempt.
    pub epoch: u64,
    /// End of the journal before `events`.
    pub head_before: Head,
    /// The last events; they end with a terminal event or with the end of the last attempt.
    pub events: Vec<Event>,
}

impl FinalSnapshot {
    /// Writes the snapshot; with [`Sync::Yes`] it survives a power failure.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`]; an older snapshot is then still there.
    pub fn write(&self, registry: &Registry, sync: Sync) -> Result<(), RegistryError> {
        let path = registry.run_final(&self.run_id);
        files::write_atomic(&path, &self.text(&path)?, sync)
    }

    /// Writes the snapshot into the file at `reserve`, which becomes the snapshot: this works on a
    /// full disk. Space of the file beyond the snapshot is freed.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`]; an older snapshot is then still there.
    pub fn write_into(&self, registry: &Registry, reserve: &Path) -> Result<(), RegistryError> {
        let path = registry.run_final(&self.run_id);
        let text = self.text(&path)?;
        let replaced = || {
            let mut file = File::options().write(true).open(reserve)?;
            file.write_all(&text)?;
            file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
            file.sync_data()?;
            std::fs::rename(reserve, &path)
        };
        replaced().map_err(|source| RegistryError::File { doing: "write", path, source })
    }

    fn text(&self, path: &Path) -> Result<Vec<u8>, RegistryError> {
        let failed = |error: serde_json::Error| RegistryError::File {
            doing: "write",
            path: path.to_path_buf(),
            source: error.into(),
        };
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            events.push(RawValue::from_string(event.to_json_line()).map_err(failed)?);
        }
        let document = Document {
            schema: SCHEMA,
            run_id: self.run_id.clone(),
            attempt: self.attempt,
            epoch: self.epoch,
            head_before: self.head_before,
            events,
        };
        let mut text = serde_json::to_vec(&document).map_err(failed)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads the snapshot of a run; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the file cannot be used.
    pub fn read(registry: &Registry, run_id: &RunId) -> Result<Option<Self>, SnapshotError> {
        let path = registry.run_final(run_id);
        let Some(text) = files::read(registry, &path, LIMIT_BYTES)? else {
            return Ok(None);
        };
        let damaged = |reason: String| SnapshotError::Damaged { run_id: run_id.clone(), reason };
        let document: Document =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if document.schema != SCHEMA {
            let found = document.schema;
            return Err(SnapshotError::Newer { run_id: run_id.clone(), found, known: SCHEMA });
        }
        let mut head = document.head_before;
        let mut events = Vec::with_capacity(document.events.len());
        for line in &document.events {
            let event =
                Event::from_json_line(line.get()).map_err(|error| damaged(error.to_string()))?;
            if event.run_id != *run_id {
                return Err(SnapshotError::Foreign { run_id: run_id.clone(), of: event.run_id });
            }
            head.verify(&event).map_err(|broken| damaged(broken.to_string()))?;
            events.push(event);
        }
        if document.run_id != *run_id {
            return Err(SnapshotError::Foreign { run_id: run_id.clone(), of: document.run_id });
        }
        let Document { run_id, attempt, epoch, head_before, .. } = document;
        Ok(Some(Self { run_id, attempt, epoch, head_before, events }))
    }

    /// Removes a run's snapshot, if there is one.
    ///
    /// # Errors
    ///
    /// [`RegistryError::File`].
    pub fn remove(registry: &Registry, run_id: &RunId) -> Result<(), RegistryError> {
        let path = registry.run_final(run_id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(RegistryError::File { doing: "remove", path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The file, as JSON.
#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    run_id: RunId,
    attempt: u32,
    epoch: u64,
    head_before: Head,
    /// Events in the format of `events.jsonl`.
    events: Vec<Box<RawValue>>,
}

/// Error: a snapshot cannot be used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file cannot be parsed, or was changed.
    #[error("the final snapshot of run {run_id} is damaged: {reason}")]
    Damaged {
        /// Id of the run whose snapshot was expected.
        run_id: RunId,
        /// Description of the fault.
        reason: String,
    },
    /// A newer program wrote it.
    #[error("the final snapshot of run {run_id} has schema {found}; this program knows {known}")]
    Newer {
        /// Id of the run.
        run_id: RunId,
        /// Format version of the file.
        found: u32,
        /// Format version that this program reads.
        known: u32,
    },
    /// The snapshot belongs to another run: the file was copied or renamed.
    #[error("the final snapshot of run {run_id} is of run {of}")]
    Foreign {
        /// Id of the run whose snapshot was expected.
        run_id: RunId,
        /// Id of the run to which the snapshot belongs.
        of: RunId,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] RegistryError),
}
