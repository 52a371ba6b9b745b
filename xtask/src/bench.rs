//! `cargo xtask bench`: builds the program as users do, and compares its speed with the file of shares.

use crate::{Failure, shell};

/// File with the shares of the last measurement on a quiet machine.
const SHARES: &str = "bench/shares.json";

/// Extent of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All lines, with long histories.
    Full,
    /// The lines of the file of shares, in about three minutes.
    Quick(SharesFile),
}

/// Treatment of the file of shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharesFile {
    /// The file stays as it is.
    Compared,
    /// The measured shares replace those in it.
    Replaced,
}

/// Measures, and compares the shares with those in the file.
///
/// # Errors
///
/// If the build or the measurement fails. A regression is printed and no error: machines differ.
pub(crate) fn run(extent: Extent) -> Result<(), Failure> {
    let build = ["build", "--release", "--locked", "-p", "errand", "-p", "errand-bench"];
    shell::run(shell::cargo(&build))?;
    let shares = shell::root().join(SHARES);
    let mut measure = shell::tool(shell::root().join("target/release/errand-bench"), &[]);
    if shares.exists() {
        measure.arg("--compare").arg(&shares);
    }
    match extent {
        Extent::Full => {}
        Extent::Quick(SharesFile::Compared) => {
            measure.arg("--quick");
        }
        Extent::Quick(SharesFile::Replaced) => {
            let commit = shell::capture(shell::tool("git", &["rev-parse", "--short=12", "HEAD"]))?;
            measure.args(["--quick", "--save"]).arg(&shares).arg(commit.trim());
        }
    }
    let folder = shell::root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    measure.arg("--dir").arg(folder);
    shell::run(measure)
}
