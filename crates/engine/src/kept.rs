//! Facts about a live attempt that another process needs to go on with it: the token of the agent and
//! the result that the agent reported. In a file that only its owner can read, as long as the attempt
//! lives.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use errand_agent::agent_api::AttemptResult;
use errand_model::RunId;
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
}

impl std::fmt::Debug for KeptAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAttempt").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl KeptAttempt {
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
    pub(crate) fn write(&self, engine: &Engine, run_id: &RunId) -> io::Result<()> {
        let path = path(engine, run_id);
        let part = path.with_extension("kept.part");
        write_private(&part, &serde_json::to_vec(self)?)?;
        fs::rename(&part, &path)
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

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(bytes)
}
