//! The one place that writes to the terminal: data to stdout, all else to stderr.

use std::io::{self, Write as _};

use crate::failure::Failure;
use crate::render::visible_lines;

/// Writes for people and programs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Printer {}

#[expect(clippy::unused_self, reason = "whoever holds a printer may print; nobody else does")]
impl Printer {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Data, as it is.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::stdout(&error))
    }

    /// One JSON document.
    pub(crate) fn json(&self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::internal("cannot write JSON", &error))?;
        self.line(&text)
    }

    /// A note for people. Control characters of what agents and others said are shown.
    pub(crate) fn note(&self, text: &str) {
        self.stderr(format!("{}\n", visible_lines(text)).as_bytes());
    }

    /// What an agent wrote to its stderr, as it is.
    pub(crate) fn stderr(&self, bytes: &[u8]) {
        let mut stderr = io::stderr().lock();
        // Nobody can be told that stderr is gone.
        drop(stderr.write_all(bytes).and_then(|()| stderr.flush()));
    }

    /// What went wrong, why, and what to do.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.note(&failure.render());
    }
}
