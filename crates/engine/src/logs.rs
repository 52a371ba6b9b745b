//! Shared log of a run, for workers on several machines.
//!
//! On one machine the log is a file of the registry. With workers on several machines, its writer
//! sends it to the shared log a little later, and a reader first updates its local copy of that.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_agent::log::{Copy, Writer, marker};
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use errand_store::{LOG_PART_BYTES, LogPart, Registry, SharedLogs};
use futures_util::future::BoxFuture;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, futimens};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Engine;
use crate::error::{IoFailure, operation_error};

operation_error! {
    /// Error: the log of a run cannot be read.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Interval at which a writer sends to the shared log.
const CARRY_EVERY: Duration = Duration::from_millis(500);
/// Longest time for which the end of an attempt waits for the rest of its log to be sent.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// Parts read at once.
const PARTS: u32 = 32;
/// Longest time after a run's end in which the last part of its log may arrive: its worker sends it
/// at once.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Interval of looks for the last part.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Extension of a copy's name, behind the run's id.
const COPY: &str = "shared.log";
/// Ending of the name of the file beside a copy that holds the copy's offset in the log.
const BEGINNING: &str = ".shared.begins";
/// Shortest interval at which the shared log is queried, however many readers follow it.
const ASK_EVERY: Duration = Duration::from_millis(150);
/// A copy that was not read for this long is removed.
const IDLE: Duration = Duration::from_hours(1);
/// Time of the call, taken by the operating system.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
/// Bytes at the end of a log that are searched for the last line of an attempt.
const TAIL_BYTES: u64 = 4 * 1024;

/// Sends the log of an attempt to the shared log.
#[derive(Debug)]
pub(crate) struct LogCarrier {
    engine: Engine,
    shared: Arc<dyn SharedLogs>,
    run_id: RunId,
    attempt: u32,
    copy: Arc<Copy>,
    sent: Mutex<Sent>,
}

#[derive(Debug)]
struct Sent {
    /// Offset of the next part; `None` before it was queried.
    offset: Option<u64>,
    /// Bytes taken from the log but not sent yet.
    left: Vec<u8>,
}

impl LogCarrier {
    /// Returns the carrier for an attempt of a run; `None` if there is no shared log.
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

    /// Sends again and again, until it is dropped.
    pub(crate) async fn keep_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CARRY_EVERY).await;
            self.carry().await;
        }
    }

    /// Sends the rest. A slow send continues in the background.
    pub(crate) async fn finish(self: Arc<Self>) {
        drop(tokio::time::timeout(FINISH_WITHIN, self.carry()).await);
    }

    /// Sends everything written so far. The database may be away: the thread that supervises agents
    /// does not block.
    async fn carry(self: &Arc<Self>) {
        let (carrier, mut carrying) = (Arc::clone(self), JoinSet::new());
        carrying.spawn_blocking(move || carrier.carry_now());
        // The panic hook has reported a panic of the task.
        drop(carrying.join_next().await);
    }

    /// Sends everything written so far. Bytes that cannot be sent are kept for the next time.
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

/// Returns the file with the up-to-date log of a run: the registry's own, or a copy of the shared
/// one. Blocks its caller: see [`up_to_date`].
///
/// # Errors
///
/// If the shared log cannot be reached, or the copy cannot be written.
pub fn path(engine: &Engine, run_id: &RunId) -> Result<PathBuf, Error> {
    let own = engine.registry().run_log(run_id);
    let Some(shared) = engine.store().shared_logs() else { return Ok(own) };
    let copy = copy_of(&own);
    bring(shared.as_ref(), run_id, &copy, engine.now())?;
    Ok(copy)
}

/// Returns [`path`] without blocking the thread.
///
/// # Errors
///
/// As [`path`].
pub async fn up_to_date(engine: &Engine, run_id: &RunId) -> Result<PathBuf, Error> {
    let own = engine.registry().run_log(run_id);
    if engine.store().shared_logs().is_none() {
        return Ok(own);
    }
    let (engine, run_id) = (engine.clone(), run_id.clone());
    let brought = tokio::task::spawn_blocking(move || path(&engine, &run_id)).await;
    brought.map_err(|error| IoFailure::of("write the copy of", own)(io::Error::other(error)))?
}

/// Returns [`up_to_date`] with the end of the log of a run that is over: waits up to two seconds
/// for the last part, which arrives a moment after the run's end.
///
/// # Errors
///
/// As [`path`].
pub fn settled<'a>(engine: &'a Engine, run: &'a Run) -> BoxFuture<'a, Result<PathBuf, Error>> {
    Box::pin(async move {
        let path = up_to_date(engine, &run.id).await?;
        let (attempt, ended_at) = (run.last_attempt_number(), run.status.ended_at());
        let Some(ended_at) = ended_at.filter(|_| attempt > 0) else { return Ok(path) };
        if engine.store().shared_logs().is_none() {
            return Ok(path);
        }
        // Another machine's clock may have recorded the end.
        let deadline = Instant::now() + LAST_WORD;
        let is_due = || engine.now().since(ended_at) < LAST_WORD && Instant::now() < deadline;
        while is_due() && !has_end(&path, attempt) {
            tokio::time::sleep(LOOK_AGAIN).await;
            up_to_date(engine, &run.id).await?;
        }
        Ok(path)
    })
}

/// Returns the offset in the log at which the file of [`path`] begins: above 0 if the oldest bytes
/// were dropped.
pub(crate) fn begins_at(engine: &Engine, run_id: &RunId) -> u64 {
    if engine.store().shared_logs().is_none() {
        return 0;
    }
    let beginning = beginning_of(&copy_of(&engine.registry().run_log(run_id)));
    std::fs::read_to_string(beginning).map_or(0, |text| last_number(&text))
}

fn last_number(text: &str) -> u64 {
    text.lines().last().and_then(|at| at.parse().ok()).unwrap_or(0)
}

/// Returns true if the last line of that attempt is at the end of the file.
fn has_end(path: &Path, attempt: u32) -> bool {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        io::Result::Ok(tail)
    };
    let line = format!(" system F {}", marker::ended(attempt, ""));
    read().is_ok_and(|tail| memchr::memmem::find(&tail, line.as_bytes()).is_some())
}

/// Writes a line to the log of a run that no process here runs.
pub(crate) fn note(engine: &Engine, run_id: &RunId, attempt: u32, text: &str) {
    let Ok(log) = Writer::open(&engine.registry().run_log(run_id)) else { return };
    let Some(shared) = engine.store().shared_logs() else { return log.system(text) };
    let copy = Arc::new(Copy::default());
    log.copied_to(Arc::clone(&copy)).system(text);
    // A failure loses only this line.
    if let Ok(offset) = shared.end(run_id) {
        let part = LogPart { attempt, at: engine.now(), offset, bytes: copy.take() };
        drop(shared.append(run_id, part));
    }
}

/// Removes the local copy of a shared log.
///
/// # Errors
///
/// If a file cannot be removed.
pub(crate) fn forget(registry: &Registry, run_id: &RunId) -> io::Result<()> {
    let copy = copy_of(&registry.run_log(run_id));
    let beginning = beginning_of(&copy);
    if !beginning.exists() {
        return Ok(());
    }
    let _locked = locked(&beginning)?;
    gone(&copy)?;
    gone(&beginning)
}

/// Returns the path of the copy of a shared log, beside that of an own log.
fn copy_of(own: &Path) -> PathBuf {
    own.with_extension(COPY)
}

/// Returns the path of the file that holds the copy's offset in the log. The holder of its lock
/// writes both.
fn beginning_of(copy: &Path) -> PathBuf {
    copy.with_extension("begins")
}

/// Keeps the file of [`path`] up to date for as long as it is polled; does nothing if the log is
/// the registry's own.
pub async fn keep_up(engine: &Engine, run_id: &RunId) {
    if engine.store().shared_logs().is_none() {
        return std::future::pending().await;
    }
    loop {
        // A shared log that cannot be reached may be back at the next try.
        drop(up_to_date(engine, run_id).await);
        tokio::time::sleep(CARRY_EVERY).await;
    }
}

/// Removes copies that were not read for an hour; the next reader makes a new one.
///
/// # Errors
///
/// If the folder cannot be read, or a file not be removed.
pub fn sweep(engine: &Engine) -> io::Result<()> {
    let entries = match std::fs::read_dir(engine.registry().runs()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let beginning = entry?.path();
        if beginning.as_os_str().as_encoded_bytes().ends_with(BEGINNING.as_bytes()) {
            let locked = locked(&beginning)?;
            if looked_at(&locked)?.is_none_or(|at| engine.now().since(at) >= IDLE) {
                // The locked file goes last: as long as it exists, waiters for its lock wait for
                // the right one.
                gone(&beginning.with_extension("log"))?;
                gone(&beginning)?;
            }
        }
    }
    Ok(())
}

fn gone(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens the file that holds a copy's offset, and locks it, waiting for a holder of the lock.
fn locked(beginning: &Path) -> io::Result<File> {
    loop {
        let file = appended(beginning)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let (held, found) = (file.metadata()?, std::fs::metadata(beginning));
        // The file may have been removed while its lock was waited for.
        if found.is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

fn appended(path: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Returns the time of a copy's last update; `None` if there was none.
fn looked_at(beginning: &File) -> io::Result<Option<Timestamp>> {
    let found = beginning.metadata()?;
    let millis = found.mtime().saturating_mul(1_000).saturating_add(found.mtime_nsec() / 1_000_000);
    Ok((found.len() > 0).then(|| Timestamp::from_millis(millis)))
}

/// Updates a copy, unless it was just updated: many readers may follow one log.
fn bring(
    shared: &dyn SharedLogs,
    run_id: &RunId,
    copy: &Path,
    now: Timestamp,
) -> Result<(), Error> {
    let failed = || IoFailure::of("write the copy of a log to", copy);
    let mut beginning = locked(&beginning_of(copy)).map_err(failed())?;
    let before = looked_at(&beginning).map_err(failed())?;
    if before.is_some_and(|at| at <= now && now.since(at) < ASK_EVERY) {
        return Ok(());
    }
    append_new(shared, run_id, copy, &mut beginning)?;
    if before.is_none() {
        let nothing = beginning.metadata().is_ok_and(|found| found.len() == 0);
        let text: &[u8] = if nothing { b"0\n" } else { b"" };
        beginning.write_all(text).map_err(failed())?;
    }
    let times = Timestamps { last_access: NOW, last_modification: NOW };
    Ok(futimens(&beginning, &times).map_err(|error| failed()(error.into()))?)
}

/// Appends new parts to a copy. If the log has dropped bytes that the copy lacks, the copy is begun
/// anew as another file: a reader of the old one continues there.
fn append_new(
    shared: &dyn SharedLogs,
    run_id: &RunId,
    copy: &Path,
    beginning: &mut File,
) -> Result<(), Error> {
    let failed = || IoFailure::of("write the copy of a log to", copy);
    let mut text = String::new();
    beginning.read_to_string(&mut text).map_err(failed())?;
    let mut begins_at = last_number(&text);
    let mut file = appended(copy).map_err(failed())?;
    loop {
        let length = file.seek(SeekFrom::End(0)).map_err(failed())?;
        let mut at = begins_at.saturating_add(length);
        let parts = shared.read(run_id, at, PARTS)?;
        let Some(first) = parts.first() else { return Ok(()) };
        if first.offset > at {
            // A crash between these steps leaves an empty copy, which is begun anew.
            std::fs::remove_file(copy).map_err(failed())?;
            begins_at = first_line(first);
            beginning.write_all(format!("{begins_at}\n").as_bytes()).map_err(failed())?;
            file = appended(copy).map_err(failed())?;
            at = begins_at;
        }
        let before = at;
        for part in parts {
            if part.offset > at {
                break;
            }
            let known = usize::try_from(at.saturating_sub(part.offset)).unwrap_or(usize::MAX);
            let new = part.bytes.get(known..).unwrap_or_default();
            file.write_all(new).map_err(failed())?;
            at = at.saturating_add(u64::try_from(new.len()).unwrap_or(0));
        }
        if at == before {
            return Ok(());
        }
    }
}

/// Returns the offset of the first line that begins in a part.
fn first_line(part: &LogPart) -> u64 {
    let line = memchr::memchr(b'\n', &part.bytes).map_or(part.bytes.len(), |end| end + 1);
    part.offset.saturating_add(u64::try_from(line).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;

    use errand_agent::{SystemClock, os};
    use errand_store::sqlite::{self, Sqlite};
    use errand_store::{Holder, Registry};
    use tokio::sync::mpsc::UnboundedSender;

    use super::*;
    use crate::{EngineContext, Inner};

    /// A shared log that blocks until a message arrives.
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

        fn remove_orphans(&self, _: Timestamp) -> Result<u64, errand_store::Error> {
            Ok(0)
        }

        fn size_bytes(&self) -> Result<u64, errand_store::Error> {
            Ok(0)
        }
    }

    fn engine(root: &Path) -> Engine {
        let registry = Registry::at(root.join(".errand"));
        let store = Arc::new(Sqlite::open(&registry, sqlite::Options::CREATE).unwrap());
        let surroundings = EngineContext {
            registry,
            environment: BTreeMap::new(),
            program: PathBuf::new(),
            identity: PathBuf::new(),
            runtime_dir: PathBuf::new(),
            targets: errand_agent::Targets::default(),
            harnesses: errand_agent::Harnesses::default(),
            model_gateway: None,
        };
        let process = os::own_identity().unwrap();
        let holder = Holder { host: os::host_name(), process, worker: None };
        Engine::new(Inner { surroundings, store, clock: Arc::new(SystemClock), holder })
    }

    #[tokio::test]
    async fn a_blocked_shared_log_does_not_block_the_supervising_thread() {
        let folder = tempfile::tempdir().unwrap();
        let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
        let (comes_back, back) = mpsc::channel();
        let (back, parts) = (Mutex::new(back), Mutex::default());
        let shared = Arc::new(Away { asked, back, parts });
        let copy = Arc::new(Copy::default());
        let writer = Writer::open(&folder.path().join("log")).unwrap();
        let writer = writer.copied_to(Arc::clone(&copy));
        writer.system("said");
        let engine = engine(folder.path());
        let carrier = Arc::new(LogCarrier {
            run_id: engine.new_run_id().unwrap(),
            engine,
            shared: Arc::clone(&shared) as _,
            attempt: 1,
            copy,
            sent: Mutex::new(Sent { offset: None, left: Vec::new() }),
        });
        let supervises = async {
            // Runs on the same thread while the log is being sent.
            is_asked.recv().await.unwrap();
            comes_back.send(()).unwrap();
        };
        tokio::join!(Arc::clone(&carrier).finish(), supervises);
        let parts = shared.parts.lock().unwrap();
        assert!(String::from_utf8_lossy(&parts[0].bytes).contains("said"), "{parts:?}");
    }

    /// A shared log that has dropped older parts.
    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<LogPart>>);

    impl SharedLogs for Kept {
        fn append(&self, _: &RunId, part: LogPart) -> Result<(), errand_store::Error> {
            self.0.lock().unwrap().push(part);
            Ok(())
        }

        fn read(
            &self,
            _: &RunId,
            offset: u64,
            limit: u32,
        ) -> Result<Vec<LogPart>, errand_store::Error> {
            let parts = self.0.lock().unwrap();
            let new = parts.iter().filter(|part| part.offset + length(&part.bytes) > offset);
            Ok(new.take(usize::try_from(limit).unwrap()).cloned().collect())
        }

        fn end(&self, _: &RunId) -> Result<u64, errand_store::Error> {
            Ok(self.0.lock().unwrap().last().map_or(0, |part| part.offset + length(&part.bytes)))
        }

        fn remove_orphans(&self, _: Timestamp) -> Result<u64, errand_store::Error> {
            Ok(0)
        }

        fn size_bytes(&self) -> Result<u64, errand_store::Error> {
            Ok(0)
        }
    }

    fn length(bytes: &[u8]) -> u64 {
        u64::try_from(bytes.len()).unwrap()
    }

    #[test]
    fn a_log_copy_has_each_line_once_and_restarts_at_a_line_after_dropped_parts() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("one.shared.log");
        let run_id: RunId = "01234567890123456789".parse().unwrap();
        let shared = Kept::default();
        let add = |text: &str| {
            let (offset, bytes) = (shared.end(&run_id).unwrap(), text.as_bytes().to_vec());
            let part = LogPart { attempt: 1, at: Timestamp::default(), offset, bytes };
            shared.append(&run_id, part).unwrap();
        };
        // Long after the copy's last update: files have the machine's time.
        let later = Timestamp::from_millis(4_102_444_800_000);
        let check = |expect: &str| {
            for _ in 0..2 {
                bring(&shared, &run_id, &copy, later).unwrap();
                assert_eq!(std::fs::read_to_string(&copy).unwrap(), expect);
            }
        };
        check("");
        add("one\n");
        check("one\n");
        add("two\nth");
        check("one\ntwo\nth");
        for _ in 0..40 {
            add("ree\nth");
        }
        let before = "one\ntwo\nth".to_owned() + &"ree\nth".repeat(40);
        check(&before);
        add("ree\nfo");
        add("ur\nfive\n");
        shared.0.lock().unwrap().drain(..43);
        check("five\n");
        add("six\n");
        check("five\nsix\n");
        std::fs::remove_file(&copy).unwrap();
        check("five\nsix\n");
        let looked_at = looked_at(&locked(&beginning_of(&copy)).unwrap()).unwrap().unwrap();
        add("seven\n");
        bring(&shared, &run_id, &copy, looked_at).unwrap();
        let text = std::fs::read_to_string(&copy).unwrap();
        assert_eq!(text, "five\nsix\n", "somebody just asked");
    }
}
