//! Commands to be run in a sandbox.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::{LIMIT, ProgramOutput, RunningProgram, Sandbox};

/// A command line with its environment and limit. Nothing happens before [`Command::run`] or
/// [`Command::spawn`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is run or spawned"]
pub struct Command<'sandbox> {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
    input: Vec<u8>,
    limit: Duration,
    sandbox: &'sandbox Sandbox,
}

impl<'sandbox> Command<'sandbox> {
    pub(crate) fn new(sandbox: &'sandbox Sandbox, program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: sandbox.environment().to_vec(),
            folder: sandbox.repo(),
            input: Vec::new(),
            limit: LIMIT,
            sandbox,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable for this command.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.env_remove(name.as_ref());
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes a variable for this command.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(existing, _)| existing != name.as_ref());
        self
    }

    /// Sets the working directory; a relative one is below the repository's folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = self.sandbox.path(folder);
        self
    }

    /// Sends these bytes to the command's stdin. Without it, stdin is empty.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Sets the time limit; the default is [`LIMIT`].
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the command to its end; kills it and panics if it exceeds the limit.
    #[must_use = "look at what the command did, or call `.ok()`"]
    pub fn run(self) -> ProgramOutput {
        self.spawn().wait()
    }

    /// Starts the command and leaves it running.
    pub fn spawn(self) -> RunningProgram {
        let shown = self.show();
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start `{shown}`: {error}"));
        RunningProgram::new(child, self.input, shown, self.limit)
    }

    fn show(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        let mut shown = name.to_string_lossy().into_owned();
        for argument in &self.arguments {
            let argument = argument.to_string_lossy();
            shown.push(' ');
            if argument.is_empty() || argument.contains([' ', '"', '\'', '\n']) {
                // Arguments of tests may be long; the beginning identifies them.
                let start: String = argument.chars().take(200).collect();
                write!(shown, "{start:?}").expect("a string takes all");
            } else {
                shown.push_str(&argument);
            }
        }
        shown
    }
}
