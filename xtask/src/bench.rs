//! `cargo xtask bench`: builds the program as users do, and compares its speed with the file of shares.

use std::path::PathBuf;

use crate::{Failure, shell};

/// File with the shares of the last measurement on a quiet machine.
const SHARES: &str = "bench/shares.json";

/// What the command does besides measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing: the shares are compared.
    Nothing,
    /// The measured shares replace those in the file.
    Shares,
}

/// Measures, quickly if `quick`.
///
/// # Errors
///
/// If the build or the measurement fails. A regression is printed and no error: machines differ.
pub(crate) fn run(quick: bool, keep: Keep) -> Result<(), Failure> {
    let build = ["build", "--release", "--locked", "-p", "errand", "-p", "errand-bench"];
    shell::run(shell::cargo(&build))?;
    let shares = shell::root().join(SHARES);
    let mut measure = shell::tool(program(), &[]);
    if quick {
        measure.arg("--quick");
    }
    if shares.exists() {
        measure.arg("--compare").arg(&shares);
    }
    if keep == Keep::Shares {
        let commit = shell::capture(shell::tool("git", &["rev-parse", "--short=12", "HEAD"]))?;
        measure.arg("--save").arg(&shares).arg(commit.trim());
    }
    let folder = shell::root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    measure.arg("--dir").arg(folder);
    shell::run(measure)
}

fn program() -> PathBuf {
    shell::root().join("target/release/errand-bench")
}
