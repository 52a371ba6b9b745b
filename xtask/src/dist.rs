//! `cargo xtask dist`: the programs that are shipped, fully optimised, one of them without any library.

use std::path::Path;

use crate::{Failure, shell};

/// Largest program that is shipped.
const LIMIT_BYTES: u64 = 20_000_000;
/// Target whose programs need no library.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// Builds both programs into `target/dist` and says how large they are.
///
/// # Errors
///
/// If a build fails or a program is too large.
pub(crate) fn run() -> Result<(), Failure> {
    shell::run(shell::tool("rustup", &["target", "add", STATIC]))?;
    if !shell::has_program("musl-gcc") {
        shell::run(shell::tool("apt-get", &["install", "--yes", "--quiet", "musl-tools"]))?;
    }
    let build = ["build", "--profile", "dist", "--locked", "-p", "errand"];
    shell::run(shell::cargo(&build))?;
    shell::run(shell::cargo(&[&build[..], &["--target", STATIC]].concat()))?;
    let target = shell::root().join("target");
    let programs = [target.join("dist/errand"), target.join(STATIC).join("dist/errand")];
    let mut too_large = Vec::new();
    for program in &programs {
        let bytes = std::fs::metadata(program)?.len();
        shell::say(&format!("{}: {bytes} bytes", shown(program)));
        if bytes > LIMIT_BYTES {
            too_large.push(shown(program));
        }
    }
    if too_large.is_empty() {
        return Ok(());
    }
    Err(format!("larger than {LIMIT_BYTES} bytes: {}", too_large.join(", ")).into())
}

fn shown(program: &Path) -> String {
    program.strip_prefix(shell::root()).unwrap_or(program).display().to_string()
}
