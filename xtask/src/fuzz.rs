//! `cargo xtask fuzz`: searches for inputs that break the wire formats.
//!
//! The compiler's own coverage counters steer the search, so that the stable toolchain is enough.

use crate::{Failure, shell};

/// Counters and traced comparisons, as the fuzzer's library expects them.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// Triple of the build. Naming it keeps the flags away from build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Recorded answers, with which the search begins.
const SEEDS: &str = "crates/wire/tests/golden";

/// Runs the fuzz target for a number of seconds.
///
/// # Errors
///
/// If the build fails, or an input breaks the target; the input is kept below `fuzz/artifacts`.
pub(crate) fn run(seconds: &str) -> Result<(), Failure> {
    if seconds.parse::<u32>().is_err() {
        return Err(format!("{seconds:?} is not a number of seconds").into());
    }
    let folder = shell::root().join("fuzz");
    let corpus = folder.join("corpus/wire");
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(folder.join("artifacts"))?;
    let args = ["run", "--release", "--target", TRIPLE, "--bin", "wire", "--"];
    let mut fuzz = shell::cargo(&args);
    fuzz.current_dir(&folder).env("RUSTFLAGS", FLAGS);
    fuzz.arg(&corpus).arg(format!("-max_total_time={seconds}"));
    fuzz.args(["-max_len=16384", "-artifact_prefix=artifacts/"]);
    let formats = std::fs::read_dir(shell::root().join(SEEDS))?;
    for format in formats {
        fuzz.arg(format?.path());
    }
    shell::run(fuzz)
}
