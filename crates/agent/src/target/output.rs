//! Output of an agent on its way to the log, to a terminal, and to memory.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::stderr::Tail;
use super::stdout::{Spooler, Stdout, StdoutSpool};
use super::waits::StartWaits;
use crate::log::{self, Framer, LogStream, PrintedLine, each_printed};
use crate::redact::{self, HeldText, Redactor};

/// Receivers of an agent's output, and of what its start waits for.
#[derive(Clone, Debug)]
pub struct AgentOutput {
    /// The log of the run.
    pub log: Arc<log::Writer>,
    /// Masks secrets before anything is written anywhere.
    pub redactor: Redactor,
    /// Second receiver of the bytes as they come. A slow one slows the agent down, a closed one
    /// does not. A chunk has at most 128 KiB (and the length of a held-back secret).
    pub tee: Option<mpsc::Sender<Chunk>>,
    /// Observer of the bytes that never slows the agent down.
    pub watcher: Option<Arc<dyn Watcher>>,
    /// Place where stdout is kept, since the output of a run may be its stdout.
    pub stdout: StdoutSpool,
    /// Receiver of the reasons for which a start waits.
    pub waits: StartWaits,
}

/// Observer of an agent's output, with secrets masked.
pub trait Watcher: Send + Sync + std::fmt::Debug {
    /// Takes bytes that the agent printed. Returns at once.
    fn printed(&self, stream: LogStream, bytes: &[u8]);
}

/// Bytes that an agent printed, with secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Stream to which the bytes were printed.
    pub stream: LogStream,
    /// The bytes as printed, not cut at lines.
    pub bytes: Vec<u8>,
}

/// Sink of one stream of an agent: masks secrets, and forwards the bytes to all receivers.
#[derive(Debug)]
pub struct OutputSink {
    stream: LogStream,
    framer: Framer,
    redaction: redact::StreamRedactor,
    output: AgentOutput,
    copy: Copy,
    clean: Vec<u8>,
    /// Bytes of clean text that came so far.
    received: u64,
    /// Bytes of clean text that are in the log already, and come again.
    skipped: u64,
}

/// Progress of a sink, with which the sink of another process continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// Text that may still become a secret.
    pub held: HeldText,
    /// Masked text of the unfinished line, which the log does not have.
    pub tail: Vec<u8>,
    /// Bytes of masked text that the log has, newlines included.
    pub logged: u64,
    /// Bytes of masked text that came.
    pub received: u64,
}

/// Copy of a stream beside its log, while bytes come.
#[derive(Debug)]
enum Copy {
    Stdout(Spooler),
    Stderr(Tail),
}

/// Finished copy of a stream beside its log.
#[derive(Debug)]
pub enum Kept {
    /// All of stdout, within its limits.
    Stdout(Stdout),
    /// The last lines of stderr, if there are any.
    StderrTail(Option<String>),
}

impl OutputSink {
    /// Creates a sink for the agent's stdout.
    pub fn stdout(output: AgentOutput) -> Self {
        let copy = Copy::Stdout(Spooler::new(output.stdout.clone()));
        Self::new(LogStream::Stdout, copy, output)
    }

    /// Creates a sink for the agent's stderr.
    pub fn stderr(output: AgentOutput) -> Self {
        Self::new(LogStream::Stderr, Copy::Stderr(Tail::default()), output)
    }

    fn new(stream: LogStream, copy: Copy, output: AgentOutput) -> Self {
        let (framer, redaction) = (Framer::new(stream), output.redactor.stream());
        let clean = Vec::new();
        Self { stream, framer, redaction, output, copy, clean, received: 0, skipped: 0 }
    }

    /// Returns the progress: everything up to it is in the log or in the progress itself.
    pub fn progress(&self) -> SinkProgress {
        SinkProgress {
            held: self.redaction.held(),
            tail: self.framer.tail().to_vec(),
            logged: self.framer.emitted(),
            received: self.received,
        }
    }

    /// Creates the sinks for stdout and stderr of attempt `number` that continue after `progress` of
    /// another process. Text behind that progress comes again: the part of it that the log has already
    /// is dropped. `is_over`: no text comes any more.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn continuing(
        output: &AgentOutput,
        number: u32,
        progress: [SinkProgress; 2],
        is_over: bool,
    ) -> io::Result<[Self; 2]> {
        let mut sinks = [Self::stdout(output.clone()), Self::stderr(output.clone())];
        let mut logged = [(0_u64, false); 2];
        let ends = [0, 1].map(|at: usize| is_over.then_some(progress[at].received));
        each_printed(output.log.path(), number, &mut |line| {
            let at = usize::from(line.stream == LogStream::Stderr);
            logged[at].0 += sinks[at].restore(line, ends[at]);
            logged[at].1 = line.is_part;
        })?;
        for (at, progress) in progress.into_iter().enumerate() {
            let (sink, (length, is_part)) = (&mut sinks[at], logged[at]);
            let known = sink.received;
            let again = length.saturating_sub(progress.logged);
            let in_tail = usize::try_from(again).unwrap_or(usize::MAX).min(progress.tail.len());
            let tail = if is_over { Vec::new() } else { progress.tail[in_tail..].to_vec() };
            sink.keep(&tail);
            sink.received = known.saturating_add(size_of_text(&tail));
            sink.skipped = again.saturating_sub(size_of_text(&progress.tail[..in_tail]));
            sink.redaction = sink.output.redactor.stream_after(progress.held);
            sink.framer = Framer::continuing(sink.stream, (length, is_part && !is_over), tail);
        }
        Ok(sinks)
    }

    /// Takes a line that the log has, up to `end` bytes of the stream. Returns the length of its text.
    fn restore(&mut self, line: PrintedLine<'_>, end: Option<u64>) -> u64 {
        let newline: &[u8] = if line.is_part { b"" } else { b"\n" };
        for text in [line.text, newline] {
            let left = end.map_or(u64::MAX, |end| end.saturating_sub(self.received));
            let fits = usize::try_from(left).unwrap_or(usize::MAX).min(text.len());
            self.keep(&text[..fits]);
            self.received += size_of_text(&text[..fits]);
        }
        size_of_text(line.text) + size_of_text(newline)
    }

    fn keep(&mut self, clean: &[u8]) {
        match &mut self.copy {
            Copy::Stdout(spooler) => spooler.push(clean),
            Copy::Stderr(tail) => tail.push(clean),
        }
    }

    /// Takes the next bytes. Waits for a slow tee.
    pub async fn push(&mut self, bytes: &[u8]) {
        self.clean.clear();
        self.redaction.push(bytes, &mut self.clean);
        self.hand_on().await;
    }

    /// Returns true if the text ends in a line without newline that the log does not have yet.
    pub fn has_unfinished_line(&self) -> bool {
        self.framer.has_tail()
    }

    /// Writes the line without newline to the log, as a part: a question, or a progress line.
    pub fn flush(&mut self) {
        let log = &self.output.log;
        self.framer.flush(&mut |lines| log.append(lines));
    }

    /// Forwards the rest; no more bytes come. Returns the finished copy.
    pub async fn finish(mut self) -> Kept {
        self.finish_text().await;
        self.into_kept()
    }

    /// Forwards the rest; no more bytes come.
    pub async fn finish_text(&mut self) {
        self.clean.clear();
        self.redaction.finish(&mut self.clean);
        self.hand_on().await;
        let log = &self.output.log;
        self.framer.finish(&mut |lines| log.append(lines));
    }

    /// Returns the finished copy.
    pub fn into_kept(self) -> Kept {
        match self.copy {
            Copy::Stdout(spooler) => Kept::Stdout(spooler.finish()),
            Copy::Stderr(tail) => Kept::StderrTail(tail.finish()),
        }
    }

    async fn hand_on(&mut self) {
        if self.clean.is_empty() {
            return;
        }
        if self.skipped > 0 {
            let known = usize::try_from(self.skipped).unwrap_or(usize::MAX).min(self.clean.len());
            self.skipped -= size_of_text(&self.clean[..known]);
            self.clean.drain(..known);
        }
        self.received = self.received.saturating_add(size_of_text(&self.clean));
        let log = &self.output.log;
        self.framer.push(&self.clean, &mut |lines| log.append(lines));
        match &mut self.copy {
            Copy::Stdout(spooler) => spooler.push(&self.clean),
            Copy::Stderr(tail) => tail.push(&self.clean),
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
}

fn size_of_text(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
