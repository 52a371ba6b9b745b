//! Output of an agent on its way to the log, to a terminal, and to memory.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::stderr::Tail;
use super::stdout::{Spooler, Stdout, StdoutSpool};
use crate::log::{self, Framer, LogStream};
use crate::redact::{self, Redactor};

/// Receivers of an agent's output.
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
        Self { stream, framer, redaction, output, copy, clean: Vec::new() }
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
        self.clean.clear();
        self.redaction.finish(&mut self.clean);
        self.hand_on().await;
        let log = &self.output.log;
        self.framer.finish(&mut |lines| log.append(lines));
        match self.copy {
            Copy::Stdout(spooler) => Kept::Stdout(spooler.finish()),
            Copy::Stderr(tail) => Kept::StderrTail(tail.finish()),
        }
    }

    async fn hand_on(&mut self) {
        if self.clean.is_empty() {
            return;
        }
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
