//! Features of this machine's kernel that tests need.

use std::process::Command;

/// Version of Landlock that sandboxes need, asked for by its system call.
const LANDLOCK: &str =
    "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 6)";

/// Returns true if agents can be kept in a sandbox here. Says so on stderr if not.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn can_sandbox() -> bool {
    let namespaces = ["--user", "--mount", "--net", "true"];
    let has_namespaces = succeeds(Command::new("unshare").args(namespaces));
    let has_landlock = succeeds(Command::new("python3").args(["-c", LANDLOCK]));
    if !has_namespaces || !has_landlock {
        eprintln!("SKIPPED: no sandbox without user namespaces and Landlock of Linux 6.12");
    }
    has_namespaces && has_landlock
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
