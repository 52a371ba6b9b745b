//! The program that holds a running server against the description of its API.
//!
//! A machine that cannot reach the package index can run all other tests: what was left out is said.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, packages, shell};

/// The package, of the version with which the server was brought to agree.
const PACKAGE: &str = "schemathesis==4.32.5";

/// Puts it where the test looks for it: the virtual environment `schemathesis/` in cargo's folder
/// for files of tests. Does nothing where it is.
pub(crate) fn install() -> Installed {
    let folder = target().join("tmp/schemathesis");
    if folder.join("ready").is_file() {
        return Installed::Yes;
    }
    shell::say(&format!("missing: {PACKAGE}"));
    match fetch(&folder) {
        Ok(()) => Installed::Yes,
        Err(failure) => {
            shell::say(&format!("  it cannot be had: {failure}"));
            Installed::No
        }
    }
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Installed {
    Yes,
    No,
}

impl Installed {
    /// Says what was not tested, where something was not.
    pub(crate) fn say_what_was_skipped(self) {
        if self == Self::No {
            shell::say(
                "SKIPPED: the server was not held against its OpenAPI document by schemathesis, \
                 which could not be installed",
            );
        }
    }
}

fn fetch(folder: &Path) -> Result<(), Failure> {
    // What an interrupted run left there.
    drop(fs::remove_dir_all(folder));
    let path = folder.to_string_lossy().into_owned();
    if shell::run(shell::tool("python3", &["-m", "venv", &path])).is_err() {
        packages::install(&["python3-venv"])?;
        shell::run(shell::tool("python3", &["-m", "venv", &path]))?;
    }
    let python = folder.join("bin/python").to_string_lossy().into_owned();
    shell::run(shell::tool(&python, &["-m", "pip", "install", "--quiet", PACKAGE]))?;
    fs::write(folder.join("ready"), "")?;
    Ok(())
}

/// The folder that cargo builds into.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), |folder| shell::root().join(folder))
}
