//! Processes of tool servers: started for an attempt, beside its agent.
//!
//! A server has a session of its own, dies with its supervisor, and carries the mark of its run, so
//! that it is found and ended with the run if its supervisor is killed.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use errand_model::ProcessIdentity;
use rustix::pipe::PipeFlags;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::start::{candidates, pipe};
use crate::os::{self, Launch, LaunchError, Lifetime, Readable, Signal};

/// Time between SIGTERM and SIGKILL for a server that does not end when its stdin is closed.
const TERMINATE_GRACE: Duration = Duration::from_millis(500);
/// Time for the kernel to end a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Process of a tool server. Dropping it kills the process, its group and everything below it.
#[derive(Debug)]
pub struct ServerProcess {
    pid: u32,
    leader: Readable,
    is_reaped: bool,
}

/// Errand's ends of a server's pipes.
#[derive(Debug)]
pub struct ServerPipes {
    /// Stdin of the server.
    pub stdin: pipe::Sender,
    /// Stdout of the server.
    pub stdout: pipe::Receiver,
    /// Stderr of the server.
    pub stderr: pipe::Receiver,
}

impl ServerProcess {
    /// Starts a server; returns once its program runs.
    ///
    /// Needs a tokio runtime with I/O. The process is killed when the calling *thread* ends.
    ///
    /// # Errors
    ///
    /// If the program cannot be executed; no process is left.
    pub fn start(
        argv: &[OsString],
        env: &[(OsString, OsString)],
        cwd: &Path,
    ) -> io::Result<(Self, ServerPipes)> {
        let program = argv.first().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a command has at least a program")
        })?;
        let (stdin, to_server) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let stdin = os::above_stdio(stdin)?;
        let (from_server, stdout) = pipe()?;
        let (errors, stderr) = pipe()?;
        let pipes = ServerPipes {
            stdin: pipe::Sender::from_owned_fd(to_server)?,
            stdout: pipe::Receiver::from_owned_fd(from_server)?,
            stderr: pipe::Receiver::from_owned_fd(errors)?,
        };
        let launch = Launch {
            candidates: candidates(program, env)?,
            argv: argv.iter().map(|text| os::c_string(text)).collect::<Result<_, _>>()?,
            env: os::environment(env)?,
            cwd: os::c_string(cwd.as_os_str())?,
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            lifetime: Lifetime::OfParent,
            confinement: None,
        };
        let launched =
            os::supervise(|| os::launch(&launch), |launched| launched.pid).map_err(|error| {
                match error {
                    LaunchError::Directory(error)
                    | LaunchError::Program(error)
                    | LaunchError::Confinement(_, error)
                    | LaunchError::Other(error) => error,
                }
            })?;
        let pid = launched.pid;
        match os::readable(launched.pidfd) {
            Ok(leader) => Ok((Self { pid, leader, is_reaped: false }, pipes)),
            Err(error) => {
                let _told = os::signal_group(pid, Signal::Kill);
                os::release_leader(pid);
                Err(error)
            }
        }
    }

    /// Waits until the process has ended.
    pub async fn ended(&self) {
        // A descriptor that cannot be waited for is that of a process that is gone.
        drop(self.leader.readable().await);
    }

    /// Ends the server, whose stdin is closed: waits for `grace`, then sends SIGTERM, then SIGKILL.
    /// Returns the exit code; `None` if a signal ended it.
    pub async fn end(mut self, grace: Duration) -> Option<i32> {
        if timeout(grace, self.ended()).await.is_err() {
            self.tell(Signal::Terminate);
            if timeout(TERMINATE_GRACE, self.ended()).await.is_err() {
                self.tell(Signal::Kill);
                drop(timeout(KILL_LIMIT, self.ended()).await);
            }
        }
        // Processes that the leader left behind; until it is reaped, its group is its own.
        self.tell(Signal::Kill);
        let reaped = os::reap_leader(self.pid).ok();
        self.is_reaped = reaped.is_some();
        reaped.and_then(|reaped| reaped.code)
    }

    /// Sends a signal to the group of the server and to all processes below it.
    fn tell(&self, signal: Signal) {
        let below: Vec<ProcessIdentity> = os::below_leader(self.pid)
            .into_iter()
            .filter(|pid| *pid != self.pid)
            .filter_map(|pid| os::identity_of(pid).ok().flatten())
            .collect();
        let _told = os::signal_group(self.pid, signal);
        for process in &below {
            let _told = os::signal(process, signal);
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        self.tell(Signal::Kill);
        // Once dead, it is reaped with the orphans of this process.
        os::release_leader(self.pid);
        os::reap_orphans();
    }
}
