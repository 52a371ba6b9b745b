//! `cargo xtask dist`: the programs that are shipped, fully optimised, one of them without any library.

use std::path::Path;

use crate::{Failure, shell};

/// Largest program that is shipped.
const LIMIT_BYTES: u64 = 20_000_000;

/// Builds both programs into `target/dist` and says how large they are.
///
/// The static program has glibc inside, which comes with any C compiler of Debian, and resolves names
/// of hosts by itself (`files` and `dns`; no other NSS modules).
///
/// # Errors
///
/// If a build fails or a program is too large.
pub(crate) fn run() -> Result<(), Failure> {
    let host = host()?;
    let build = ["build", "--profile", "dist", "--locked", "-p", "errand"];
    shell::run(shell::cargo(&build))?;
    // Flags of the compiler do not reach build scripts and macros if a target is named.
    let mut static_build = shell::cargo(&[&build[..], &["--target", &host]].concat());
    let flags = "-C target-feature=+crt-static -C relocation-model=static";
    static_build.env("RUSTFLAGS", flags);
    shell::run(static_build)?;

    let target = shell::root().join("target");
    let programs = [target.join("dist/errand"), target.join(&host).join("dist/errand")];
    let mut too_large = Vec::new();
    for program in &programs {
        // A program that is linked in a wrong way crashes at its start.
        shell::run(shell::tool(program, &["--version"]))?;
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

/// Returns the target for which the compiler builds by itself.
fn host() -> Result<String, Failure> {
    let version = shell::capture(shell::tool("rustc", &["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("`rustc --version --verbose` names no host")?.to_owned())
}

fn shown(program: &Path) -> String {
    program.strip_prefix(shell::root()).unwrap_or(program).display().to_string()
}
