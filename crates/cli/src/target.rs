//! Destination of data that may be large: a file, or stdout.

use std::fs::File;
use std::io::{self, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// An open file, or stdout.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout(Stdout),
    /// A file and its path.
    File(File, PathBuf),
}

impl Target {
    /// Opens the file at `path`, or stdout.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout(io::stdout())) };
        let file = File::create(path).map_err(|error| Failure::io("write", path, &error))?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Returns the failure to write to it.
    pub(crate) fn unwritten(&self, error: &io::Error) -> Failure {
        match self {
            Self::Stdout(_) => Failure::stdout(error),
            Self::File(_, path) => Failure::io("write", path, error),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}
