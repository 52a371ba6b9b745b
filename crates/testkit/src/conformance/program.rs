//! Small agents of the conformance suites.

use std::ffi::OsString;

/// Small agent that a target under test starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Prints `out` to stdout and `err` to stderr, and exits with code 3.
    Prints,
    /// Sleeps until it is asked to end.
    Sleeps,
    /// Prints `ready` and sleeps on when it is asked to end.
    Refuses,
    /// Copies stdin to stdout, until stdin ends.
    Copies,
    /// Reads one line and prints it with `answer ` before it.
    Answers,
}

impl Program {
    /// All programs.
    pub const ALL: [Self; 5] =
        [Self::Prints, Self::Sleeps, Self::Refuses, Self::Copies, Self::Answers];

    /// Returns the program as a script for `/bin/sh`.
    pub const fn script(self) -> &'static str {
        match self {
            Self::Prints => "echo out; echo err >&2; exit 3",
            Self::Sleeps => "exec sleep 1000",
            Self::Refuses => "trap '' TERM; echo ready; while :; do sleep 0.01; done",
            Self::Copies => "exec cat",
            Self::Answers => "read -r line; echo \"answer $line\"",
        }
    }

    /// Returns the command line of the program.
    pub fn argv(self) -> Vec<OsString> {
        ["/bin/sh", "-c", self.script()].map(OsString::from).to_vec()
    }

    /// Returns the program of a command line.
    pub fn of_argv(argv: &[OsString]) -> Option<Self> {
        let script = argv.last()?;
        Self::ALL.into_iter().find(|program| script == program.script())
    }
}
