//! Packages from the Python package index that tests need, in cargo's folder for files of tests.
//!
//! A machine that cannot reach the index can run all other tests; skipped ones are reported.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, packages, shell};

/// Availability of something that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Installed {
    Yes,
    /// The skipped test, as a sentence.
    No(&'static str),
}

impl Installed {
    /// Prints the skipped test, if there is one.
    pub(crate) fn say_what_was_skipped(self) {
        if let Self::No(skipped) = self {
            shell::say(&format!("SKIPPED: {skipped}"));
        }
    }

    /// Returns an error for a skipped test.
    ///
    /// # Errors
    ///
    /// Names the skipped test.
    pub(crate) fn refuse_skipped(self) -> Result<(), Failure> {
        match self {
            Self::Yes => Ok(()),
            Self::No(skipped) => Err(format!("SKIPPED: {skipped}").into()),
        }
    }
}

/// Fetches what is `missing`. If that fails, `skipped` describes the skipped test.
pub(crate) fn install(
    missing: &str,
    skipped: &'static str,
    fetch: impl FnOnce() -> Result<(), Failure>,
) -> Installed {
    shell::say(&format!("missing: {missing}"));
    match fetch() {
        Ok(()) => Installed::Yes,
        Err(failure) => {
            shell::say(&format!("  it cannot be had: {failure}"));
            Installed::No(skipped)
        }
    }
}

/// Returns the folder of that name in cargo's folder for files of tests.
pub(crate) fn folder(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), |folder| shell::root().join(folder));
    target.join("tmp").join(name)
}

/// Returns true if a virtual environment is complete.
pub(crate) fn is_ready(folder: &Path) -> bool {
    folder.join("ready").is_file()
}

/// Creates a virtual environment with those packages.
pub(crate) fn environment(folder: &Path, wanted: &[&str]) -> Result<(), Failure> {
    // Remains of an interrupted run.
    drop(fs::remove_dir_all(folder));
    let path = folder.to_string_lossy().into_owned();
    if shell::run(shell::tool("python3", &["-m", "venv", &path])).is_err() {
        packages::install(&["python3-venv"])?;
        shell::run(shell::tool("python3", &["-m", "venv", &path]))?;
    }
    let python = folder.join("bin/python").to_string_lossy().into_owned();
    let mut args = vec!["-m", "pip", "install", "--quiet"];
    args.extend(wanted);
    shell::run(shell::tool(&python, &args))?;
    fs::write(folder.join("ready"), "")?;
    Ok(())
}
