//! Facts about a live attempt that another process needs to go on with it: the token of the agent, the
//! result that the agent reported, and what else is in the memory of its supervisor alone. In a file
//! that only its owner can read, as long as the attempt lives.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use errand_agent::agent_api::AttemptResult;
use errand_model::RunId;
use errand_model::spend::Book;
use errand_store::RegistryError;
use errand_store::files::{self, Sync};
use serde::{Deserialize, Serialize};

use crate::Engine;

/// Facts about a live attempt.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptAttempt {
    /// Number of the attempt.
    pub(crate) attempt: u32,
    /// Token with which the agent calls the agent API.
    pub(crate) token: String,
    /// Result that the agent reported before it ended.
    pub(crate) result: Option<AttemptResult>,
    /// Limits of steps that have begun, by key.
    #[serde(default)]
    pub(crate) step_limits: BTreeMap<String, KeptStepLimit>,
    /// Number of messages that the agent got in this attempt, those of earlier attempts included.
    #[serde(default)]
    pub(crate) messages_given: usize,
    /// Reservations of calls under way against the limits of the run.
    #[serde(default)]
    pub(crate) book: Book,
}

/// Limit of a step that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptStepLimit {
    /// Limit of the step itself; `None`: the agent file's.
    pub(crate) limit: Option<Duration>,
    /// Time that the run had been paused before the step.
    pub(crate) paused: Duration,
}

impl std::fmt::Debug for KeptAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAttempt").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl KeptAttempt {
    /// Returns the facts about an attempt that begins.
    pub(crate) const fn new(attempt: u32, token: String) -> Self {
        Self {
            attempt,
            token,
            result: None,
            step_limits: BTreeMap::new(),
            messages_given: 0,
            book: Book::EMPTY,
        }
    }

    /// Reads the facts about an attempt of a run; `None` if there are none, or none of that attempt.
    pub(crate) fn read(engine: &Engine, run_id: &RunId, attempt: u32) -> Option<Self> {
        let text = fs::read(path(engine, run_id)).ok()?;
        let kept: Self = serde_json::from_slice(&text).ok()?;
        (kept.attempt == attempt).then_some(kept)
    }

    /// Writes the facts. Not synced: they matter only as long as the machine is up.
    ///
    /// # Errors
    ///
    /// If the disk is full.
    pub(crate) fn write(&self, engine: &Engine, run_id: &RunId) -> Result<(), RegistryError> {
        let path = path(engine, run_id);
        let bytes = serde_json::to_vec(self).map_err(|error| RegistryError::File {
            doing: "write",
            path: path.clone(),
            source: error.into(),
        })?;
        files::write_atomic(&path, &bytes, Sync::No)
    }
}

/// Removes the facts about the last attempt of a run.
pub(crate) fn remove(engine: &Engine, run_id: &RunId) {
    // There are none of most attempts.
    drop(fs::remove_file(path(engine, run_id)));
}

fn path(engine: &Engine, run_id: &RunId) -> PathBuf {
    engine.registry().run_kept(run_id)
}
