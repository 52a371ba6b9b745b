//! The only writer to the terminal: data to stdout, all else to stderr.

use std::io::{self, Write as _};

use crate::failure::Failure;
use crate::render::visible_lines;

/// Writer for people and programs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Printer {}

#[expect(clippy::unused_self, reason = "whoever holds a printer may print; nobody else does")]
impl Printer {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    /// Writes a line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes of data.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::stdout(&error))
    }

    /// Writes a JSON document.
    pub(crate) fn json(&self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::internal("cannot write JSON", &error))?;
        self.line(&text)
    }

    /// Writes a note for people. Control characters from agents and other sources are escaped.
    pub(crate) fn note(&self, text: &str) {
        self.stderr(format!("{}\n", visible_lines(text)).as_bytes());
    }

    /// Writes an agent's stderr, unchanged.
    pub(crate) fn stderr(&self, bytes: &[u8]) {
        let mut stderr = io::stderr().lock();
        // A failure to write to stderr cannot be reported.
        drop(stderr.write_all(bytes).and_then(|()| stderr.flush()));
    }

    /// Writes a failure: message, causes and hints.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.note(&failure.render());
    }
}
