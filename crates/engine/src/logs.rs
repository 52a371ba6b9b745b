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
use tokio::task::JoinSet;

use crate::{Engine, Error};

/// How far a shared log may be behind.
const CARRY_EVERY: Duration = Duration::from_millis(500);
/// How long the end of an attempt waits for the rest of its log to be carried.
const LAST_WORD: Duration = Duration::from_secs(5);
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
    /// Where the next part begins; `None`: not asked yet.
    offset: Option<u64>,
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
        let sent = Mutex::new(Sent { offset: None, left: Vec::new() });
        let (engine, run_id) = (engine.clone(), run_id.clone());
        Some(Self { engine, shared, run_id, attempt, copy, sent })
    }

    /// Carries again and again, until it is dropped.
    pub(crate) async fn keep_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CARRY_EVERY).await;
            self.carry().await;
        }
    }

    /// Carries the rest. What takes too long goes on beside whatever comes next.
    pub(crate) async fn finish(self: Arc<Self>) {
        drop(tokio::time::timeout(LAST_WORD, self.carry()).await);
    }

    /// Carries what was written until now. The place it goes to may be away: the thread that
    /// supervises agents does not wait for it.
    async fn carry(self: &Arc<Self>) {
        let (carrier, mut carrying) = (Arc::clone(self), JoinSet::new());
        carrying.spawn_blocking(move || carrier.carry_now());
        // A panic there was reported there.
        drop(carrying.join_next().await);
    }

    /// What cannot be carried is kept for the next time.
    fn carry_now(&self) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.left.extend(self.copy.take());
        while !sent.left.is_empty() {
            let offset = match sent.offset {
                Some(offset) => offset,
                None => match self.shared.end(&self.run_id) {
                    Ok(end) => *sent.offset.insert(end),
                    Err(_) => return,
                },
            };
            let length = sent.left.len().min(LOG_PART_BYTES);
            let bytes = sent.left.get(..length).unwrap_or_default().to_vec();
            let (at, attempt) = (self.engine.now(), self.attempt);
            if self.shared.append(&self.run_id, LogPart { attempt, at, offset, bytes }).is_err() {
                return;
            }
            sent.left.drain(..length);
            let next = offset.saturating_add(u64::try_from(length).unwrap_or(0));
            sent.offset = Some(next);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;

    use errand_agent::{SystemClock, log, os};
    use errand_store::sqlite::{self, Sqlite};
    use errand_store::{Holder, Registry};
    use tokio::sync::mpsc::UnboundedSender;

    use super::*;
    use crate::{Inner, Surroundings};

    /// A place for logs that is away until it is told.
    #[derive(Debug)]
    struct Away {
        asked: UnboundedSender<()>,
        back: Mutex<mpsc::Receiver<()>>,
        parts: Mutex<Vec<LogPart>>,
    }

    impl SharedLogs for Away {
        fn append(&self, _: &RunId, part: LogPart) -> Result<(), errand_store::Error> {
            self.asked.send(()).unwrap();
            let back = self.back.lock().unwrap().recv_timeout(Duration::from_secs(20));
            back.map_err(|_| errand_store::Error::WriterGone)?;
            self.parts.lock().unwrap().push(part);
            Ok(())
        }

        fn read(&self, _: &RunId, _: u64, _: u32) -> Result<Vec<LogPart>, errand_store::Error> {
            Ok(Vec::new())
        }

        fn end(&self, _: &RunId) -> Result<u64, errand_store::Error> {
            Ok(0)
        }
    }

    fn engine(root: &Path) -> Engine {
        let registry = Registry::at(root.join(".errand"));
        let store = Arc::new(Sqlite::open(&registry, sqlite::Options::CREATE).unwrap());
        let surroundings = Surroundings {
            registry,
            environment: BTreeMap::new(),
            program: PathBuf::new(),
            identity: PathBuf::new(),
            runtime_dir: PathBuf::new(),
        };
        let process = os::own_identity().unwrap();
        let holder = Holder { host: os::host_name(), process, worker: None };
        Engine::new(Inner { surroundings, store, clock: Arc::new(SystemClock), holder })
    }

    #[tokio::test]
    async fn a_place_for_logs_that_is_away_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
        let (comes_back, back) = mpsc::channel();
        let (back, parts) = (Mutex::new(back), Mutex::default());
        let shared = Arc::new(Away { asked, back, parts });
        let copy = Arc::new(Copy::default());
        let writer = log::Writer::open(&folder.path().join("log")).unwrap();
        let writer = writer.copied_to(Arc::clone(&copy));
        writer.system("said");
        let engine = engine(folder.path());
        let carrier = Arc::new(Carrier {
            run_id: engine.new_run_id().unwrap(),
            engine,
            shared: Arc::clone(&shared) as _,
            attempt: 1,
            copy,
            sent: Mutex::new(Sent { offset: None, left: Vec::new() }),
        });
        let supervises = async {
            // On the same thread, while the log is being carried.
            is_asked.recv().await.unwrap();
            comes_back.send(()).unwrap();
        };
        tokio::join!(Arc::clone(&carrier).finish(), supervises);
        let parts = shared.parts.lock().unwrap();
        assert!(String::from_utf8_lossy(&parts[0].bytes).contains("said"), "{parts:?}");
    }
}
