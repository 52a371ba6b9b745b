//! Stderr of a tool server: lines of the run's log, and their tail for errors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use errand_agent::log;
use errand_agent::redact::Redactor;
use tokio::net::unix::pipe;

use super::bounds;
use super::lines::{Line, Lines};

/// Log of a run, for lines about one tool server.
#[derive(Clone, Debug)]
pub(crate) struct ServerLog {
    server: Arc<str>,
    log: Arc<log::Writer>,
    redactor: Redactor,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl ServerLog {
    pub(crate) fn new(server: &str, log: Arc<log::Writer>, redactor: Redactor) -> Self {
        Self { server: server.into(), log, redactor, tail: Arc::default() }
    }

    /// Writes a line of errand about the server.
    pub(crate) fn note(&self, text: &str) {
        self.log.system(&format!("[tool server {}] {}", self.server, self.redactor.redact(text)));
    }

    /// Writes a line that the server printed, and keeps it for errors.
    pub(crate) fn printed(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = self.redactor.redact(text.trim_end()).into_owned();
        self.log.system(&format!("[{}] {text}", self.server));
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_back(text);
        let mut bytes: usize = tail.iter().map(String::len).sum();
        while tail.len() > bounds::TAIL_LINES || (bytes > bounds::TAIL_BYTES && tail.len() > 1) {
            bytes -= tail.pop_front().map_or(0, |line| line.len());
        }
    }

    /// Returns the last lines that the server printed; `None`: it printed none.
    pub(crate) fn tail(&self) -> Option<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let text = tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        (!text.is_empty()).then_some(text)
    }

    /// Forgets the lines of a server that is started anew.
    pub(crate) fn begin(&self) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Writes everything that the server prints on stderr, to its end.
    pub(crate) async fn copy(self, stderr: pipe::Receiver) {
        let mut lines = Lines::new(stderr, bounds::LOG_LINE_BYTES);
        while let Ok(Some(line)) = lines.next().await {
            match line {
                Line::Whole(line) => {
                    self.printed(&line[..line.len().min(bounds::LOG_LINE_BYTES)]);
                }
                Line::Cut(line) => self.printed(line),
            }
        }
    }
}
