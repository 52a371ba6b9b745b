//! Results of commands.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

/// Exit code, streams and time of an ended command.
#[derive(Clone, Debug)]
#[must_use = "look at what the command did, or call `.ok()`"]
pub struct ProgramOutput {
    /// The exit code; `None` when a signal ended the command.
    pub code: Option<i32>,
    /// The signal that ended the command.
    pub signal: Option<i32>,
    /// All of stdout.
    pub stdout_bytes: Vec<u8>,
    /// All of stderr.
    pub stderr_bytes: Vec<u8>,
    /// Time that the command took. For messages, never for assertions.
    pub wall: Duration,
    shown: String,
}

impl ProgramOutput {
    pub(crate) fn new(
        status: ExitStatus,
        stdout_bytes: Vec<u8>,
        stderr_bytes: Vec<u8>,
        shown: String,
        wall: Duration,
    ) -> Self {
        let (code, signal) = (status.code(), status.signal());
        Self { code, signal, stdout_bytes, stderr_bytes, wall, shown }
    }

    /// Panics unless the command exited with 0.
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Panics unless the command exited with `code`.
    pub fn exits(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{}", self.describe());
        self
    }

    /// Panics unless the command exited with `code`, printed nothing on stdout, and printed
    /// `complaint` on stderr.
    pub fn refuses(self, code: i32, complaint: &str) -> Self {
        let this = self.exits(code);
        assert!(this.stdout_bytes.is_empty(), "a refusal has no data\n{}", this.describe());
        assert!(
            this.stderr().contains(complaint),
            "stderr does not say {complaint:?}\n{}",
            this.describe()
        );
        this
    }

    /// Returns stdout; invalid UTF-8 is replaced.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout_bytes).into_owned()
    }

    /// Returns stderr; invalid UTF-8 is replaced.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr_bytes).into_owned()
    }

    /// Returns the one line of stdout, without its newline; panics if there is no line or more than
    /// one.
    #[must_use]
    pub fn stdout_line(&self) -> String {
        let stdout = self.stdout();
        let mut lines = stdout.lines();
        let (first, second) = (lines.next(), lines.next());
        let (Some(line), None) = (first, second) else {
            panic!("expected one line on stdout\n{}", self.describe());
        };
        line.to_owned()
    }

    /// Returns stdout as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout_bytes)
            .unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{}", self.describe()))
    }

    /// Returns stdout as one JSON document per line.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}\n{}", self.describe()))
        };
        self.stdout().lines().map(parse).collect()
    }

    /// Returns a description for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let ended = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        format!(
            "$ {}\n{ended} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.shown,
            self.wall,
            self.stdout(),
            self.stderr()
        )
    }
}
