//! The thread that talks to the place: callers block until it is done.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Thread with a runtime, started by the first task. It ends when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    started: Mutex<Option<Started>>,
}

#[derive(Debug)]
struct Started {
    /// Each caller waits for its task, so there are no more tasks than callers.
    tasks: mpsc::UnboundedSender<Task>,
    thread: JoinHandle<()>,
}

impl Driver {
    /// Runs a future on the thread, and blocks until it is done.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started, or has ended.
    pub(crate) fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> std::io::Result<T> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move {
            // The caller waits, unless it panicked.
            drop(reply.send(work.await));
        })?;
        answer.recv().map_err(|_| ended())
    }

    /// Starts a future on the thread.
    ///
    /// # Errors
    ///
    /// As [`Driver::block`].
    pub(crate) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match started.take() {
            Some(running) => running,
            None => start()?,
        };
        let sent = running.tasks.send(Box::pin(work));
        *started = Some(running);
        sent.map_err(|_| ended())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let started = self.started.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Started { tasks, thread }) = started.take() {
            drop(tasks);
            // A panic of the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

fn start() -> std::io::Result<Started> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tasks, mut waiting) = mpsc::unbounded_channel::<Task>();
    let work = move || {
        runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            while let Some(task) = waiting.recv().await {
                running.spawn(task);
                while running.try_join_next().is_some() {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("blobs".to_owned()).spawn(work)?;
    Ok(Started { tasks, thread })
}

fn ended() -> std::io::Error {
    std::io::Error::other("the thread for blobs has ended")
}
