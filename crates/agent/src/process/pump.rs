//! From the agent's pipes to the log, to a terminal, and to memory.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stderr::Tail;
use super::stdout::{Spooler, Stdout, StdoutSpool};
use crate::log::{self, Framer, Stream};
use crate::redact::{self, Redactor};

/// Read from a pipe at once.
const READ_BYTES: usize = 128 * 1_024;
/// Capacity asked for once an agent prints a lot: the most that is had without privileges.
const PIPE_BYTES: usize = 1_024 * 1_024;
/// A read of this size says that an agent prints a lot.
const MUCH_BYTES: usize = 32 * 1_024;
/// Text without newline (a question, a progress line) is logged when nothing follows for so long.
const QUIET: Duration = Duration::from_millis(50);
/// Read from a pipe that stays open after everything of the run has ended: what a pipe holds.
const REST_BYTES: usize = PIPE_BYTES;

/// Where output goes.
#[derive(Clone, Debug)]
pub struct Output {
    /// The log of the run.
    pub log: Arc<log::Writer>,
    /// Masks secrets before anything is written anywhere.
    pub redactor: Redactor,
    /// Whoever also wants the bytes as they come; a slow taker slows the agent down, one that is
    /// gone does not. A chunk has at most 128 KiB (and a held-back secret's worth).
    pub tee: Option<mpsc::Sender<Chunk>>,
    /// Whoever also wants to see the bytes, without ever slowing the agent down.
    pub watcher: Option<Arc<dyn Watcher>>,
    /// Where stdout is kept, since the output of a run may be its stdout.
    pub stdout: StdoutSpool,
}

/// Sees what an agent prints, with secrets masked.
pub trait Watcher: Send + Sync + std::fmt::Debug {
    /// It printed that. Returns at once.
    fn printed(&self, stream: Stream, bytes: &[u8]);
}

/// Bytes that an agent printed, with secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where to.
    pub stream: Stream,
    /// As printed, not cut at lines.
    pub bytes: Vec<u8>,
}

/// What is kept of a stream beside its log.
#[derive(Debug)]
enum Kept {
    Stdout(Spooler),
    Stderr(Tail),
}

/// What is kept of the streams of an attempt that is over.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) stdout: Stdout,
    pub(super) stderr_tail: Option<String>,
}

/// The tasks that empty the pipes of one attempt; they end when their owner does.
#[derive(Debug)]
pub(super) struct Pumps {
    tasks: JoinSet<Kept>,
    closing: watch::Sender<bool>,
    printed: Printed,
}

impl Pumps {
    pub(super) fn start(stdout: OwnedFd, stderr: OwnedFd, output: Output) -> io::Result<Self> {
        let (closing, is_closing) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let spooler = Spooler::new(output.stdout.clone());
        let both = [
            (Stream::Stdout, stdout, Kept::Stdout(spooler), output.clone()),
            (Stream::Stderr, stderr, Kept::Stderr(Tail::default()), output),
        ];
        for (stream, pipe, kept, output) in both {
            let pump = Pump {
                stream,
                pipe: crate::os::readable(pipe)?,
                framer: Framer::new(stream),
                redaction: output.redactor.stream(),
                output,
                kept,
                closing: is_closing.clone(),
                clean: Vec::new(),
                is_pipe_large: false,
            };
            tasks.spawn(pump.run());
        }
        let printed = Printed { stdout: Stdout::Memory(Vec::new()), stderr_tail: None };
        Ok(Self { tasks, closing, printed })
    }

    /// Returns once both pipes are at their end and all was handed on. May be cancelled.
    pub(super) async fn finished(&mut self) {
        while let Some(pump) = self.tasks.join_next().await {
            match pump {
                Ok(Kept::Stdout(spooler)) => self.printed.stdout = spooler.finish(),
                Ok(Kept::Stderr(tail)) => self.printed.stderr_tail = tail.finish(),
                Err(_) => {}
            }
        }
    }

    /// Lets the pumps end with what is in the pipes now.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Takes what was kept, once finished.
    pub(super) fn take_printed(&mut self) -> Printed {
        let nothing = Printed { stdout: Stdout::Memory(Vec::new()), stderr_tail: None };
        std::mem::replace(&mut self.printed, nothing)
    }
}

struct Pump {
    stream: Stream,
    pipe: AsyncFd<OwnedFd>,
    framer: Framer,
    redaction: redact::Stream,
    output: Output,
    kept: Kept,
    closing: watch::Receiver<bool>,
    clean: Vec<u8>,
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
                () = tokio::time::sleep_until(quiet_at), if self.framer.has_tail() => {
                    let log = &self.output.log;
                    self.framer.flush(&mut |lines| log.append(lines));
                }
            }
        }
        self.clean.clear();
        self.redaction.finish(&mut self.clean);
        self.hand_on().await;
        let log = &self.output.log;
        self.framer.finish(&mut |lines| log.append(lines));
        self.kept
    }

    /// Hands on what was read, and lets others have their turn.
    async fn take(&mut self, bytes: &[u8], count: usize) {
        if count >= MUCH_BYTES && !self.is_pipe_large {
            self.is_pipe_large = true;
            // Only faster: a user's pipes have a limit, and then this one stays as it is.
            let _capacity = rustix::pipe::fcntl_setpipe_size(self.pipe.get_ref(), PIPE_BYTES);
        }
        self.clean.clear();
        self.redaction.push(bytes, &mut self.clean);
        self.hand_on().await;
        tokio::task::yield_now().await;
    }

    async fn hand_on(&mut self) {
        if self.clean.is_empty() {
            return;
        }
        let log = &self.output.log;
        self.framer.push(&self.clean, &mut |lines| log.append(lines));
        match &mut self.kept {
            Kept::Stdout(spooler) => spooler.push(&self.clean),
            Kept::Stderr(tail) => tail.push(&self.clean),
        }
        if let Some(watcher) = &self.output.watcher {
            watcher.printed(self.stream, &self.clean);
        }
        if let Some(tee) = &self.output.tee {
            let chunk = Chunk { stream: self.stream, bytes: self.clean.clone() };
            if tee.send(chunk).await.is_err() {
                self.output.tee = None;
            }
        }
    }

    /// Takes what is in the pipe, without waiting for more.
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

/// Waits for bytes and reads them; 0 at the end.
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

/// Waits until the pumps are told to end.
async fn closing(signal: &mut watch::Receiver<bool>) {
    // An owner that is gone aborts the task: nothing is to be done here.
    if signal.wait_for(|is_closing| *is_closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}
