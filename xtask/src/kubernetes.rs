//! `cargo xtask test --kubernetes`: the target `kubernetes` against a real API server.
//!
//! The programs of the control plane are built once, from Debian's source package, into a cache outside the
//! repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, shell};

/// Programs that the build makes.
const PROGRAMS: [&str; 2] = ["kube-apiserver", "kube-controller-manager"];
/// Variable by which tests find the programs.
const VARIABLE: &str = "ERRAND_TEST_KUBERNETES";

/// Builds the control plane unless it is there, and runs the tests that need one.
///
/// # Errors
///
/// If the build or a test fails.
pub(crate) fn run() -> Result<(), Failure> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => cache()?,
    };
    if !is_whole(&folder) {
        shell::say("building the API server: this takes some minutes, once");
        let mut build = Command::new("sh");
        build.arg("xtask/kubernetes.sh").arg(&folder);
        shell::run(build)?;
    }
    let mut tests = shell::cargo(&["test", "--locked", "--package", "errand-kubernetes"]);
    tests.args(["--test", "it", "--", "--nocapture", "real::"]).env(VARIABLE, &folder);
    shell::run(tests)
}

fn is_whole(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

fn cache() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let base = base.or_else(of_home).ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("errand-tests").join("kubernetes"))
}
