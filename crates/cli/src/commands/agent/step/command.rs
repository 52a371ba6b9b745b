//! The process of a step's command: its start, time limit and end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::limit;
use errand_api::error_code::ErrorCode;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::signal::unix::{Signal as Arrivals, SignalKind, signal};

use super::capture::{Captured, Pump};

/// Time that a command has to end after its time limit before it is killed.
const TIMEOUT_GRACE: Duration = Duration::from_secs(1);

/// Shortest interval at which the time left of a step is queried again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A finished command.
pub(super) struct Finished {
    pub(super) end: CommandEnd,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

/// End of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandEnd {
    /// Exited with a code.
    Exited(i32),
    /// Ended by a signal.
    Signalled(i32),
    /// Exceeded its time limit; its process group is gone.
    TimedOut,
}

/// Error: a command could not be started.
#[derive(Debug)]
pub(super) struct NotStarted(pub(super) io::Error);

impl NotStarted {
    pub(super) fn code(&self) -> ErrorCode {
        let kind = self.0.kind();
        if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            ErrorCode::CommandNotFound
        } else if kind == io::ErrorKind::PermissionDenied || self.0.raw_os_error() == Some(ENOEXEC)
        {
            ErrorCode::CommandNotExecutable
        } else {
            ErrorCode::SpawnFailed
        }
    }
}

/// "Exec format error": an executable file that is no program.
const ENOEXEC: i32 = 8;

/// Runs a command in a process group of its own with our stdin and additional variables, passes on
/// its output and the signals that ask us to end, and waits for its end.
pub(super) async fn run(
    command: &[OsString],
    variables: &[(&str, &str)],
    limit: TimeLimit<'_>,
) -> Result<Finished, NotStarted> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(NotStarted(io::Error::from(io::ErrorKind::NotFound)));
    };
    // Before the start, so that no signal is lost.
    let mut signals = Signals::new().map_err(NotStarted)?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .process_group(0)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NotStarted)?;
    let watched = watch(&mut child, &mut signals, limit).await;
    watched.map_err(|error| {
        // No process is left behind; the group id is ours until the child is reaped.
        if let Ok(group) = group(&child) {
            send(group, Signal::KILL);
        }
        drop(child.wait());
        NotStarted(error)
    })
}

async fn watch(
    child: &mut Child,
    signals: &mut Signals,
    mut limit: TimeLimit<'_>,
) -> io::Result<Finished> {
    let none = || io::Error::other("the command has no such pipe");
    let stdout = child.stdout.take().ok_or_else(none)?;
    let stderr = child.stderr.take().ok_or_else(none)?;
    let stdout = Pump::start(stdout, io::stdout(), limit::STEP_STDOUT_BYTES)?;
    let stderr = Pump::start(stderr, io::stderr(), limit::STEP_STDERR_BYTES)?;
    let group = group(child)?;
    let timed_out = tokio::select! {
        () = until_exit(group, signals) => false,
        () = limit.reached() => true,
    };
    if timed_out {
        send(group, Signal::TERM);
        let ended = until_exit(group, signals);
        // In either case the rest of the group is killed.
        drop(tokio::time::timeout(TIMEOUT_GRACE, ended).await);
        send(group, Signal::KILL);
        until_exit(group, signals).await;
    }
    let status = child.wait()?;
    let (stdout, stderr) = tokio::join!(stdout.finish(), stderr.finish());
    let end = if timed_out {
        CommandEnd::TimedOut
    } else {
        match (status.code(), status.signal()) {
            (Some(code), _) => CommandEnd::Exited(code),
            (None, signal) => CommandEnd::Signalled(signal.unwrap_or_default()),
        }
    };
    Ok(Finished { end, stdout, stderr })
}

/// Returns the child's process group, whose id is the child's.
fn group(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the command has no process id"))
}

/// Signals the whole group.
fn send(group: Pid, signal: Signal) {
    match kill_process_group(group, signal) {
        // An error means that no process is left.
        Ok(()) | Err(_) => {}
    }
}

/// Time limit of a command. Time in which the run was paused does not count, and only the
/// supervisor knows that time.
pub(super) struct TimeLimit<'c> {
    pub(super) timeout: Option<Duration>,
    pub(super) key: &'c str,
    pub(super) client: &'c mut Client,
}

impl TimeLimit<'_> {
    /// Waits until the time is up; forever if there is no limit.
    async fn reached(&mut self) {
        let Some(mut left) = self.timeout else { return std::future::pending().await };
        while !left.is_zero() {
            tokio::time::sleep(left).await;
            left = self.left().await;
        }
    }

    async fn left(&mut self) -> Duration {
        let Ok(answer) = self.client.checkin().await else { return Duration::ZERO };
        self.client.hang_up();
        match answer.step_time_left_ms.get(self.key) {
            None | Some(0) => Duration::ZERO,
            // Without progress while the run is paused: wait before asking again.
            Some(left) => Duration::from_millis(*left).max(ASK_AGAIN),
        }
    }
}

/// Waits for the command to end, and forwards signals meanwhile. The child is not reaped, so that
/// its id is not reused.
async fn until_exit(group: Pid, signals: &mut Signals) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error means that there is no such child: nothing to wait for.
    while let Ok(None) = waitid(WaitId::Pid(group), options) {
        if let Some(signal) = signals.next().await {
            send(group, signal);
        }
    }
}

/// Signals that ask a process to end, and SIGCHLD.
struct Signals {
    asking: [(Arrivals, Signal); 4],
    child: Arrivals,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let asking = [
            (signal(SignalKind::terminate())?, Signal::TERM),
            (signal(SignalKind::interrupt())?, Signal::INT),
            (signal(SignalKind::hangup())?, Signal::HUP),
            (signal(SignalKind::quit())?, Signal::QUIT),
        ];
        Ok(Self { asking, child: signal(SignalKind::child())? })
    }

    /// Returns the next signal to forward; `None` after a change of a child.
    async fn next(&mut self) -> Option<Signal> {
        let [terminate, interrupt, hangup, quit] = &mut self.asking;
        tokio::select! {
            _ = self.child.recv() => None,
            _ = terminate.0.recv() => Some(terminate.1),
            _ = interrupt.0.recv() => Some(interrupt.1),
            _ = hangup.0.recv() => Some(hangup.1),
            _ = quit.0.recv() => Some(quit.1),
        }
    }
}
