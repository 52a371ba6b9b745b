//! Output of the lines of one log.

use std::io::{self, Write as _};

use errand_agent::log::{Followed, LogLine, LogStream, marker};

use super::Args;

/// Size of the pieces in which output is written.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// Output of lines: the agent's stdout to stdout, its stderr to stderr, in order.
#[expect(clippy::struct_excessive_bools, reason = "flags that were typed, and one result")]
pub(in crate::commands) struct Screen {
    with_time: bool,
    with_system: bool,
    /// The only attempt to be shown, and the attempt of the present lines.
    attempt: Option<u32>,
    at_attempt: u32,
    /// True if stdout is reserved for other output.
    to_stderr: bool,
    out: Vec<u8>,
    err: Vec<u8>,
    pub(super) has_shown: bool,
}

impl Screen {
    /// Returns a screen for an agent's output alone; with `to_stderr` all of it goes to stderr.
    pub(in crate::commands) fn of_output(to_stderr: bool) -> Self {
        Self {
            to_stderr,
            with_time: false,
            with_system: false,
            attempt: None,
            at_attempt: 1,
            out: Vec::with_capacity(BUFFER_BYTES),
            err: Vec::new(),
            has_shown: false,
        }
    }

    pub(super) fn new(args: &Args) -> Self {
        Self {
            to_stderr: false,
            with_time: args.timestamps,
            with_system: args.system,
            attempt: args.attempt,
            at_attempt: 1,
            out: Vec::with_capacity(BUFFER_BYTES),
            err: Vec::new(),
            has_shown: false,
        }
    }

    pub(in crate::commands) fn take(&mut self, followed: Followed<'_>) -> io::Result<()> {
        match followed {
            Followed::Line(line) => self.line(&line),
            Followed::Idle => self.flush(),
        }
    }

    fn line(&mut self, line: &LogLine<'_>) -> io::Result<()> {
        if line.stream == Some(LogStream::System) {
            self.at_attempt = marker::beginning(line.text).unwrap_or(self.at_attempt);
        }
        if self.attempt.is_some_and(|wanted| wanted != self.at_attempt) {
            return Ok(());
        }
        self.has_shown = true;
        match line.stream {
            Some(LogStream::System) if !self.with_system => return Ok(()),
            Some(LogStream::Stdout) | None if self.to_stderr => {
                line.render(self.with_time, &mut self.err);
            }
            Some(LogStream::Stderr | LogStream::System) => {
                if !self.out.is_empty() {
                    self.flush()?;
                }
                line.render(self.with_time, &mut self.err);
            }
            Some(LogStream::Stdout) | None => {
                if !self.err.is_empty() {
                    self.flush()?;
                }
                line.render(self.with_time, &mut self.out);
            }
        }
        if self.out.len() + self.err.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        flush(&mut self.out, &mut self.err)
    }
}

/// Writes the buffers: only one of them is filled, or their order does not matter.
pub(super) fn flush(out: &mut Vec<u8>, err: &mut Vec<u8>) -> io::Result<()> {
    if !err.is_empty() {
        io::stderr().lock().write_all(err)?;
        err.clear();
    }
    if !out.is_empty() {
        let mut stdout = io::stdout().lock();
        stdout.write_all(out)?;
        stdout.flush()?;
        out.clear();
    }
    Ok(())
}
