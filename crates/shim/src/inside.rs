//! `errand` in a container: errand's own program, with its own loader and libraries.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use errand_shim::file;

/// Exit code for errors of errand itself.
const FAILED: u8 = 70;

/// Replaces this process by errand's program. The image may have another C library, or none: the
/// program comes with the one that it was linked with.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut command = if Path::new(file::LOADER).exists() {
        let mut command = Command::new(file::LOADER);
        command.args(["--library-path", file::LIBRARIES, "--argv0", "errand"]);
        command.arg(file::WHOLE_PROGRAM);
        command
    } else {
        Command::new(file::WHOLE_PROGRAM)
    };
    let error = command.args(arguments).exec();
    refuse(&format!("errand cannot be started in this container: {error}"))
}

/// Says on stderr why nothing is done.
pub(super) fn refuse(message: &str) -> ExitCode {
    // Without stderr there is no place for the message.
    drop(writeln!(std::io::stderr(), "errand: {message}"));
    ExitCode::from(FAILED)
}
