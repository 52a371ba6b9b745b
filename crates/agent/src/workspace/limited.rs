//! Commands with a time limit.

use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Runs a command and returns its output; kills it and its children after `limit`.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`] after `limit`; as [`Command::output`] otherwise.
pub(super) fn output_within(command: &mut Command, limit: Duration) -> io::Result<Output> {
    // A separate process group: its children must not keep the pipes open.
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (tell, told) = channel();
    let waiting = std::thread::spawn(move || {
        // There is no receiver after the time limit.
        drop(tell.send(child.wait_with_output()));
    });
    let output = match told.recv_timeout(limit) {
        Ok(output) => output,
        Err(RecvTimeoutError::Timeout) => {
            // It is not reaped before the kill: its process id is still its own.
            if let Some(group) = group {
                // An error means that it has just ended by itself.
                let _killed = kill_process_group(group, Signal::KILL);
            }
            Err(io::Error::new(ErrorKind::TimedOut, format!("it took longer than {limit:?}")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(ErrorKind::BrokenPipe.into()),
    };
    drop(waiting.join());
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_command_is_killed_with_its_children() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo said; sleep 1000 & sleep 1000"]);
        let refused = output_within(&mut shell, Duration::from_millis(50)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
        let mut shell = Command::new("sh");
        let said = output_within(shell.args(["-c", "echo said"]), Duration::from_secs(60)).unwrap();
        assert_eq!(said.stdout, b"said\n");
    }
}
