//! Tasks that empty the pipes of an agent's process.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::target::{AgentOutput, Kept, OutputSink, Stdout};

/// Bytes read from a pipe at once.
const READ_BYTES: usize = 128 * 1_024;
/// Capacity of a pipe once an agent prints a lot: the maximum without privileges.
const PIPE_BYTES: usize = 1_024 * 1_024;
/// Size of a read from which an agent counts as printing a lot.
const MUCH_BYTES: usize = 32 * 1_024;
/// Time without output after which text without a newline (a question, a progress line) is logged.
const QUIET: Duration = Duration::from_millis(50);
/// Upper bound of the bytes read from a pipe that stays open after the end of the run: its
/// capacity.
const REST_BYTES: usize = PIPE_BYTES;

/// Kept parts of an ended attempt's streams.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) stdout: Stdout,
    pub(super) stderr_tail: Option<String>,
}

impl Printed {
    const NOTHING: Self = Self { stdout: Stdout::Memory(Vec::new()), stderr_tail: None };
}

/// Tasks that empty the pipes of one attempt; they end with their owner.
#[derive(Debug)]
pub(super) struct Pumps {
    tasks: JoinSet<Kept>,
    closing: watch::Sender<bool>,
    printed: Printed,
}

impl Pumps {
    /// Starts a task for each pipe. `stdout` is `None` if a harness reads it.
    pub(super) fn start(
        stdout: Option<OwnedFd>,
        stderr: OwnedFd,
        output: AgentOutput,
    ) -> io::Result<Self> {
        let (closing, is_closing) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let stdout = stdout.map(|pipe| (pipe, OutputSink::stdout(output.clone())));
        for (pipe, sink) in stdout.into_iter().chain([(stderr, OutputSink::stderr(output))]) {
            let (pipe, closing) = (crate::os::readable(pipe)?, is_closing.clone());
            tasks.spawn(Pump { pipe, sink, closing, is_pipe_large: false }.run());
        }
        Ok(Self { tasks, closing, printed: Printed::NOTHING })
    }

    /// Returns once all pipes are at their end and all output was forwarded. May be cancelled.
    pub(super) async fn finished(&mut self) {
        while let Some(pump) = self.tasks.join_next().await {
            match pump {
                Ok(Kept::Stdout(stdout)) => self.printed.stdout = stdout,
                Ok(Kept::StderrTail(tail)) => self.printed.stderr_tail = tail,
                Err(_) => {}
            }
        }
    }

    /// Makes the pumps end after the bytes that the pipes have now.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Takes the kept streams, once finished.
    pub(super) fn take_printed(&mut self) -> Printed {
        std::mem::replace(&mut self.printed, Printed::NOTHING)
    }
}

struct Pump {
    pipe: AsyncFd<OwnedFd>,
    sink: OutputSink,
    closing: watch::Receiver<bool>,
    is_pipe_large: bool,
}

impl Pump {
    async fn run(mut self) -> Kept {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            buffer.clear();
            let quiet_at = Instant::now() + QUIET;
            tokio::select! {
                biased;
                read = read(&self.pipe, &mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.take(&buffer, count).await,
                },
                () = closing(&mut self.closing) => {
                    self.rest(&mut buffer).await;
                    break;
                }
                () = tokio::time::sleep_until(quiet_at), if self.sink.has_unfinished_line() => {
                    self.sink.flush();
                }
            }
        }
        self.sink.finish().await
    }

    /// Forwards a read, and yields to other tasks.
    async fn take(&mut self, bytes: &[u8], count: usize) {
        if count >= MUCH_BYTES && !self.is_pipe_large {
            self.is_pipe_large = true;
            // Only an optimization: a user's pipes have a limit, and then the pipe keeps its
            // capacity.
            let _capacity = rustix::pipe::fcntl_setpipe_size(self.pipe.get_ref(), PIPE_BYTES);
        }
        self.sink.push(bytes).await;
        tokio::task::yield_now().await;
    }

    /// Reads the rest of the pipe, without waiting for more.
    async fn rest(&mut self, buffer: &mut Vec<u8>) {
        let mut left = REST_BYTES;
        while left > 0 {
            buffer.clear();
            match rustix::io::read(self.pipe.get_ref(), spare_capacity(buffer)) {
                Ok(0) => return,
                Ok(count) => {
                    left = left.saturating_sub(count);
                    self.take(buffer, count).await;
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Waits for bytes and reads them; returns 0 at the end.
async fn read(pipe: &AsyncFd<OwnedFd>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    pipe.async_io(Interest::READABLE, |pipe| {
        loop {
            match rustix::io::read(pipe, spare_capacity(buffer)) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    })
    .await
}

/// Waits until the pumps are closed.
async fn closing(signal: &mut watch::Receiver<bool>) {
    // A dropped owner aborts the task; nothing is to be done here.
    if signal.wait_for(|is_closing| *is_closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}
