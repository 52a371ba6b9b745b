//! A gRPC client that is not ours, made of the definition in the repository by the tools of Python.
//!
//! A machine that cannot reach the package index can run all other tests: what was left out is said.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Failure, packages, shell};

/// What the test's client is made of, and its libraries.
const PACKAGES: [&str; 3] = ["grpcio-tools", "grpcio-health-checking", "grpcio-reflection"];

/// Puts them where the test looks for them: the virtual environment `grpc/` in cargo's folder for
/// files of tests. Does nothing where it is.
pub(crate) fn install() -> Installed {
    let folder = target().join("tmp/grpc");
    if folder.join("ready").is_file() {
        return Installed::Yes;
    }
    shell::say(&format!("missing: a gRPC client (from the packages {})", PACKAGES.join(", ")));
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
                "SKIPPED: gRPC was not called by a client of Python, which could not be had",
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
    let mut args = vec!["-m", "pip", "install", "--quiet"];
    args.extend(PACKAGES);
    shell::run(shell::tool(&python, &args))?;
    fs::write(folder.join("ready"), "")?;
    Ok(())
}

/// The folder that cargo builds into.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), |folder| shell::root().join(folder))
}
