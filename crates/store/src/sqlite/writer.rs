//! The writer thread: it commits all waiting operations in one transaction, then acknowledges them.
//!
//! A commit costs a sync of the disk, for one row as for a hundred: operations gather while one is
//! in progress.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use errand_model::RunId;
use rusqlite::ErrorCode;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::connect;
use super::connect::Identity;
use super::failure::{Failure, explain_to_many};
use super::job::{Job, Waiting};
use super::journal::Files;
use super::write::{Operation, SyncPoint};
use super::write_connection::WriteConnection;
use crate::change::CHANGES_LIMIT;
use crate::{Changes, Error, StoreChange};

/// Operations in the queue; callers with further ones wait.
const INBOX_LIMIT: usize = 1024;

/// Operations in one transaction: bounds the first one's wait for the others.
const BATCH_LIMIT: usize = 512;

/// After a commit of several operations their callers are about to send the next ones. If fewer
/// than half have arrived, the writer waits once for this long.
const GATHER_FOR: Duration = Duration::from_micros(50);

/// Pages of log from which on an idle writer makes a checkpoint: a new process reads the whole log
/// before its first query, and 1 MB of log takes a millisecond.
const CHECKPOINT_IDLE_PAGES: u32 = 250;

/// Pages of log from which on a busy writer makes a checkpoint too.
const CHECKPOINT_BUSY_PAGES: u32 = 4_000;

const DOING: &str = "writes";

/// Handle to the writer thread, which starts with the first operation.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    state: Mutex<State>,
    changes: Channel,
}

/// Channel of commits, which exists from the first subscription on: a helper has no subscriber, and
/// the places of the channel are 65 pages.
type Channel = Arc<OnceLock<broadcast::Sender<StoreChange>>>;

#[derive(Debug)]
enum State {
    Idle(Option<Files>),
    Running { inbox: mpsc::Sender<Message>, thread: JoinHandle<()> },
    Ended,
}

/// Message to the thread.
enum Message {
    Write(Box<dyn Job>),
    Sync(RunId, oneshot::Sender<Result<(), Error>>),
}

impl Writer {
    pub(super) fn new(path: PathBuf, files: Option<Files>) -> Self {
        Self { path, state: Mutex::new(State::Idle(files)), changes: Channel::default() }
    }

    /// Subscribes to commits from now on.
    pub(super) fn changes(&self) -> Changes {
        Changes::here(
            self.changes.get_or_init(|| broadcast::Sender::new(CHANGES_LIMIT)).subscribe(),
        )
    }

    /// Has an operation committed, and waits for the result.
    pub(super) async fn submit<O: Operation>(&self, operation: O) -> Result<O::Output, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Waiting::new(operation, reply);
        self.send(Message::Write(Box::new(job))).await?;
        answer.await.map_err(|_| Error::WriterGone)?
    }

    /// Has a run's file completed and synced, after all acknowledged operations.
    pub(super) async fn sync(&self, run_id: RunId) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Sync(run_id, reply)).await?;
        answer.await.map_err(|_| Error::WriterGone)?
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        let inbox = self.inbox()?;
        inbox.send(message).await.map_err(|_| Error::WriterGone)
    }

    fn inbox(&self) -> Result<mpsc::Sender<Message>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Running { inbox, .. } = &*state {
            return Ok(inbox.clone());
        }
        let State::Idle(files) = std::mem::replace(&mut *state, State::Ended) else {
            return Err(Error::WriterGone);
        };
        let (inbox, messages) = mpsc::channel(INBOX_LIMIT);
        let worker = Worker {
            path: self.path.clone(),
            files,
            connection: None,
            last: None,
            log_pages: Arc::new(AtomicU32::new(0)),
            changes: Arc::clone(&self.changes),
        };
        let thread = std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || worker.run(messages))
            .map_err(|source| Error::File {
                doing: "start the writer of",
                path: self.path.clone(),
                source,
            })?;
        *state = State::Running { inbox: inbox.clone(), thread };
        Ok(inbox)
    }
}

impl Drop for Writer {
    /// Waits for the operations in progress, so that the process does not end in the middle of one.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Running { inbox, thread } = std::mem::replace(state, State::Ended) {
            drop(inbox);
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

/// State of the thread.
struct Worker {
    path: PathBuf,
    files: Option<Files>,
    connection: Option<WriteConnection>,
    /// Identity of the file that was written last.
    last: Option<Identity>,
    /// Pages in the log after the last commit, as SQLite reports them.
    log_pages: Arc<AtomicU32>,
    changes: Channel,
}

impl Worker {
    fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut waiting = Vec::new();
        let mut last_batch = 0;
        while inbox.blocking_recv_many(&mut waiting, BATCH_LIMIT) > 0 {
            if last_batch > 1 && waiting.len() * 2 < last_batch {
                std::thread::sleep(GATHER_FOR);
                take_waiting(&mut inbox, &mut waiting);
            }
            last_batch = waiting.len();
            let (jobs, syncs) = sort(waiting.drain(..));
            self.write(jobs);
            for (run_id, reply) in syncs {
                // The caller may have gone.
                drop(reply.send(self.sync(&run_id)));
            }
            self.checkpoint(inbox.is_empty());
        }
    }

    /// Commits jobs together; if the database refuses that, each alone.
    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        if let Err(error) = self.connect() {
            self.fail_each(jobs, error);
            return;
        }
        let Self { connection: Some(opened), files, path, changes, .. } = self else { return };
        match opened.commit(&mut jobs) {
            Ok(sync_point) => acknowledge(opened, sync_point, files.as_mut(), (changes, jobs)),
            Err(Failure::Replaced) => {
                // The file was rebuilt or removed: opening it again shows which.
                self.connection = None;
                self.write(jobs);
            }
            Err(failure) if jobs.len() == 1 || is_about_the_disk(&failure) => {
                fail(jobs, &failure, path);
            }
            Err(_) => {
                for job in jobs {
                    let mut alone = vec![job];
                    match opened.commit(&mut alone) {
                        Ok(point) => acknowledge(opened, point, files.as_mut(), (changes, alone)),
                        Err(failure) => fail(alone, &failure, path),
                    }
                }
            }
        }
    }

    fn connect(&mut self) -> Result<(), Error> {
        if self.connection.is_some() {
            return Ok(());
        }
        // The identity is read first: if the file is replaced meanwhile, the first commit notices.
        let identity = Identity::of(&self.path);
        Identity::check_successor(self.last, &self.path)?;
        let mut connection = connect::open_writer(&self.path)?;
        let pages = Arc::clone(&self.log_pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, count: i32| {
            pages.store(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection
            .wal_hook(Some(hook))
            .map_err(|source| Error::Database { doing: DOING, source })?;
        self.last = identity;
        self.connection = Some(WriteConnection::new(connection, self.path.clone(), identity));
        Ok(())
    }

    /// Fails the first job with the error of the connection; tries each other job alone.
    fn fail_each(&mut self, jobs: Vec<Box<dyn Job>>, error: Error) {
        let mut jobs = jobs.into_iter();
        if let Some(first) = jobs.next() {
            first.fail(error);
        }
        for job in jobs {
            match self.connect() {
                Ok(()) => self.write(vec![job]),
                Err(error) => job.fail(error),
            }
        }
    }

    fn sync(&mut self, run_id: &RunId) -> Result<(), Error> {
        self.connect()?;
        match (&self.connection, &mut self.files) {
            (Some(opened), Some(files)) => files.sync(&opened.connection, run_id),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Makes a checkpoint, if the log has many pages. No caller waits for it, and a failed one is
    /// repeated after a later commit.
    fn checkpoint(&self, is_idle: bool) {
        let limit = if is_idle { CHECKPOINT_IDLE_PAGES } else { CHECKPOINT_BUSY_PAGES };
        if self.log_pages.load(Ordering::Relaxed) < limit {
            return;
        }
        if let Some(opened) = &self.connection {
            drop(opened.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
            self.log_pages.store(0, Ordering::Relaxed);
        }
    }
}

fn take_waiting(inbox: &mut mpsc::Receiver<Message>, waiting: &mut Vec<Message>) {
    while waiting.len() < BATCH_LIMIT {
        match inbox.try_recv() {
            Ok(message) => waiting.push(message),
            Err(_) => return,
        }
    }
}

type Syncs = Vec<(RunId, oneshot::Sender<Result<(), Error>>)>;

fn sort(messages: impl Iterator<Item = Message>) -> (Vec<Box<dyn Job>>, Syncs) {
    let (mut jobs, mut syncs) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Write(job) => jobs.push(job),
            Message::Sync(run_id, reply) => syncs.push((run_id, reply)),
        }
    }
    (jobs, syncs)
}

/// Writes the files, syncs the commit if that is left to do, and answers the callers.
fn acknowledge(
    opened: &WriteConnection,
    sync_point: SyncPoint,
    files: Option<&mut Files>,
    (changes, jobs): (&Channel, Vec<Box<dyn Job>>),
) {
    if let Some(files) = files {
        for job in &jobs {
            job.journal(files);
        }
        files.flush(&opened.connection);
    }
    if sync_point == SyncPoint::BeforeAnswer
        && let Err(failed) = opened.sync()
    {
        for job in jobs {
            let source = std::io::Error::new(failed.kind(), failed.to_string());
            job.fail(Error::File { doing: "sync", path: opened.path().to_owned(), source });
        }
        return;
    }
    let heard = changes.get().filter(|changes| changes.receiver_count() > 0);
    for job in jobs {
        if let Some(changes) = heard {
            for change in job.changes() {
                // The last listener may have gone just now.
                drop(changes.send(change));
            }
        }
        job.acknowledge();
    }
}

fn fail(jobs: Vec<Box<dyn Job>>, failure: &Failure, path: &Path) {
    for job in jobs {
        job.fail(match failure {
            Failure::Database(error) => explain_to_many(error, path, DOING),
            // A refusal is the result of its job, and is never sent from here.
            Failure::Refused(_) | Failure::Replaced => Error::WriterGone,
        });
    }
}

/// Returns true if each job alone would fail the same way.
fn is_about_the_disk(failure: &Failure) -> bool {
    let Failure::Database(error) = failure else {
        return false;
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
        )
    )
}
