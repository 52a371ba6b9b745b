//! The log of a run, wherever its agent runs.
//!
//! On one machine it is a file of the registry. Where workers are on many, what is written is carried
//! to the shared log a little later, and whoever reads brings a copy of that up to date first.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_agent::log::Copy;
use errand_model::RunId;
use errand_store::{LOG_PART_BYTES, LogPart, SharedLogs};
use rustix::fs::{FlockOperation, flock};

use crate::{Engine, Error};

/// How far a shared log may be behind.
const CARRY_EVERY: Duration = Duration::from_millis(500);
/// Parts that are read at once.
const PARTS: u32 = 32;

/// Carries what an attempt writes to the shared log.
#[derive(Debug)]
pub(crate) struct Carrier {
    engine: Engine,
    shared: Arc<dyn SharedLogs>,
    run_id: RunId,
    attempt: u32,
    copy: Arc<Copy>,
    sent: Mutex<Sent>,
}

#[derive(Debug)]
struct Sent {
    /// Where the next part begins.
    offset: u64,
    /// Taken, and not carried yet.
    left: Vec<u8>,
}

impl Carrier {
    /// For an attempt of a run; `None` where nothing is shared.
    pub(crate) fn of(
        engine: &Engine,
        (run_id, attempt): (&RunId, u32),
        copy: Option<&Arc<Copy>>,
    ) -> Option<Self> {
        let (shared, copy) = (engine.store().shared_logs()?, Arc::clone(copy?));
        // One that cannot be reached now is tried with the first part.
        let offset = shared.end(run_id).unwrap_or(0);
        let sent = Mutex::new(Sent { offset, left: Vec::new() });
        let (engine, run_id) = (engine.clone(), run_id.clone());
        Some(Self { engine, shared, run_id, attempt, copy, sent })
    }

    /// Carries again and again, until it is dropped.
    pub(crate) async fn keep_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CARRY_EVERY).await;
            self.carry();
        }
    }

    /// Carries what was written until now. What cannot be carried is kept for the next time.
    pub(crate) fn carry(&self) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.left.extend(self.copy.take());
        while !sent.left.is_empty() {
            let length = sent.left.len().min(LOG_PART_BYTES);
            let bytes = sent.left.get(..length).unwrap_or_default().to_vec();
            let (at, offset, attempt) = (self.engine.now(), sent.offset, self.attempt);
            if self.shared.append(&self.run_id, LogPart { attempt, at, offset, bytes }).is_err() {
                return;
            }
            sent.left.drain(..length);
            sent.offset = sent.offset.saturating_add(u64::try_from(length).unwrap_or(0));
        }
    }
}

/// The file that has the log of a run, up to date: the registry's own, or a copy of the shared one.
///
/// # Errors
///
/// If what is shared cannot be reached, or the copy cannot be written.
pub fn path(engine: &Engine, run_id: &RunId) -> Result<PathBuf, Error> {
    let own = engine.registry().run_log(run_id);
    let Some(shared) = engine.store().shared_logs() else { return Ok(own) };
    let copy = own.with_extension("shared.log");
    bring(shared.as_ref(), run_id, &copy)?;
    Ok(copy)
}

/// Keeps the file of [`path`] up to date for as long as it is polled; does nothing where the log is
/// the registry's own.
pub async fn keep_up(engine: &Engine, run_id: &RunId) {
    if engine.store().shared_logs().is_none() {
        return std::future::pending().await;
    }
    loop {
        // What cannot be reached now may be later.
        drop(path(engine, run_id));
        tokio::time::sleep(CARRY_EVERY).await;
    }
}

/// Appends what is new to a copy; one that does not fit any more is made anew.
fn bring(shared: &dyn SharedLogs, run_id: &RunId, copy: &Path) -> Result<(), Error> {
    let failed = || Error::io("write the copy of a log to", copy);
    let mut options = File::options();
    let opened = options.read(true).append(true).create(true).mode(0o600).open(copy);
    let mut file = opened.map_err(failed())?;
    // Of two who do so at once, one waits for the other.
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed()(error.into()))?;
    let mut at = file.seek(SeekFrom::End(0)).map_err(failed())?;
    loop {
        let parts = shared.read(run_id, at, PARTS)?;
        let Some(first) = parts.first() else { return Ok(()) };
        if first.offset > at && at > 0 {
            // What lies in between is forgotten: the copy begins where the log does now.
            file.set_len(0).map_err(failed())?;
            at = 0;
            continue;
        }
        let before = at;
        for part in parts {
            let known = usize::try_from(at.saturating_sub(part.offset)).unwrap_or(usize::MAX);
            let new = part.bytes.get(known..).unwrap_or_default();
            file.write_all(new).map_err(failed())?;
            at = at.max(part.offset).saturating_add(u64::try_from(new.len()).unwrap_or(0));
        }
        if at == before {
            return Ok(());
        }
    }
}
