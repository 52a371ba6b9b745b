//! The thread that owns all connections and executes all changes.
//!
//! Work on it runs to its end, also if the caller is cancelled meanwhile: no transaction stays
//! unfinished.

use std::future::Future;
use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Address;
use super::failure::Failure;
use crate::Error;

/// Messages in the queue; callers with further ones wait.
const INBOX_LIMIT: usize = 1024;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Message to the thread.
enum Message {
    /// A task that is finished before the thread ends.
    Work(Task),
    /// A connection that is driven while the registry is open.
    Connection(Task),
}

/// The thread.
#[derive(Debug)]
pub(super) struct DriverThread {
    handle: Option<Handle>,
    closing: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Handle to the thread.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    inbox: mpsc::Sender<Message>,
    closing: watch::Receiver<bool>,
}

impl DriverThread {
    pub(super) fn start(address: &Address) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Unreachable {
            database: address.to_string(),
            reason: format!("cannot start a thread: {error}"),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (inbox, messages) = mpsc::channel(INBOX_LIMIT);
        let (closing, is_closing) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn({
                let is_closing = is_closing.clone();
                move || runtime.block_on(run(messages, is_closing))
            })
            .map_err(failed)?;
        let handle = Handle { inbox, closing: is_closing };
        Ok(Self { handle: Some(handle), closing, thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> Handle {
        match &self.handle {
            Some(handle) => handle.clone(),
            // Only while the driver is dropped: no other code has it then.
            None => Handle { inbox: mpsc::channel(1).0, closing: self.closing.subscribe() },
        }
    }

    /// Runs a future on the thread and blocks until it is done.
    pub(super) fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
        address: &Address,
    ) -> Result<T, Error> {
        self.handle().block(work).map_err(|failure| failure.explain(address, "opens it"))
    }
}

impl Drop for DriverThread {
    /// Waits for all running work; no failed work is tried again from now on.
    fn drop(&mut self) {
        self.closing.send_replace(true);
        self.handle = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

impl Handle {
    /// Runs a future on the thread to its end, even if the caller is cancelled.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (task, answer) = answering(work);
        self.inbox.send(Message::Work(task)).await.map_err(|_| ENDED)?;
        answer.await.map_err(|_| ENDED)
    }

    /// Runs a future on the thread, for callers without a runtime.
    pub(super) fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        let task = Message::Work(Box::pin(async move {
            // The caller may have gone.
            drop(reply.send(work.await));
        }));
        if let Err(error) = self.inbox.try_send(task) {
            let mut task = error.into_inner();
            loop {
                std::thread::sleep(FULL_FOR);
                match self.inbox.try_send(task) {
                    Ok(()) => break,
                    Err(mpsc::error::TrySendError::Full(again)) => task = again,
                    Err(mpsc::error::TrySendError::Closed(_)) => return Err(ENDED),
                }
            }
        }
        answer.recv().map_err(|_| ENDED)?
    }

    /// Drives a connection on the thread.
    pub(super) async fn keep(
        &self,
        connection: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        let connection = Message::Connection(Box::pin(connection));
        self.inbox.send(connection).await.map_err(|_| ENDED)
    }

    /// Starts a task that ends by itself once the registry is closed.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Called only at the start, when the queue is empty.
        drop(self.inbox.try_send(Message::Work(Box::pin(work))));
    }

    /// Returns true if the registry is being closed.
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns when the registry is being closed.
    pub(super) async fn closed(&self) {
        let mut closing = self.closing.clone();
        // An error means that the driver was dropped, which is the same.
        drop(closing.wait_for(|is_closing| *is_closing).await);
    }
}

/// Interval at which a caller without a runtime tries a full queue again.
const FULL_FOR: std::time::Duration = std::time::Duration::from_millis(1);

const ENDED: Failure = Failure::Unexpected("its thread has ended");

fn answering<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> (Task, oneshot::Receiver<T>) {
    let (reply, answer) = oneshot::channel();
    let task = Box::pin(async move {
        // The caller may have gone.
        drop(reply.send(work.await));
    });
    (task, answer)
}

/// Executes messages until the registry is closed and all work is done.
async fn run(mut inbox: mpsc::Receiver<Message>, mut closing: watch::Receiver<bool>) {
    let mut work = JoinSet::new();
    let mut connections = JoinSet::new();
    let mut is_closing = false;
    while !is_closing || !work.is_empty() || !inbox.is_empty() {
        tokio::select! {
            message = inbox.recv() => match message {
                Some(Message::Work(task)) => { work.spawn(task); }
                Some(Message::Connection(task)) => { connections.spawn(task); }
                None => is_closing = true,
            },
            _ = closing.wait_for(|is_closing| *is_closing), if !is_closing => is_closing = true,
            Some(_) = work.join_next(), if !work.is_empty() => {}
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}
