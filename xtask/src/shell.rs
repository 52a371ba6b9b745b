//! Runs of tools, with their command lines printed.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Failure;

/// Prints one line for the person at the terminal, on stderr.
pub(crate) fn say(line: &str) {
    // Without stderr the line is lost.
    let written = writeln!(std::io::stderr(), "{line}");
    drop(written);
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Returns a cargo command that runs at the root of the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    // `cargo run` sets the cargo that started this program.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tool(&program, args);
    // It sets what this package is, too. A build script that reads that runs again whenever it differs:
    // without this, `cargo xtask test` after `cargo test` builds cryptography and all that uses it anew.
    for (name, _) in std::env::vars_os() {
        let is_of_package = ["CARGO_MANIFEST_", "CARGO_PKG_"]
            .iter()
            .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
        if is_of_package {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns a command that runs at the root of the repository.
pub(crate) fn tool(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Runs a command whose output goes to the terminal. Prints its command line and its time.
///
/// # Errors
///
/// If the command could not be started, or did not exit with 0.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let shown = show(&command);
    say(&format!("$ {shown}"));
    let started = Instant::now();
    let status = command.status().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !status.success() {
        return Err(format!("`{shown}` failed: {status}").into());
    }
    say(&format!("  done in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs a command. Returns its stdout.
///
/// # Errors
///
/// If the command could not be started, did not exit with 0, or wrote invalid UTF-8.
pub(crate) fn capture(mut command: Command) -> Result<String, Failure> {
    let shown = show(&command);
    let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` failed: {}\n{complaint}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns true if a program of that name is on the search path.
pub(crate) fn has_program(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let mut shown = name.into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}
