//! Helpers: processes that outlive the process that started them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus};

use rustix::process::{WaitOptions, waitpid};

use super::signal::pid_of;
use super::spawn::{self, Launch, LaunchError, Lifetime, c_string, launch};

/// A helper to be started, in its own session and without other open files than those named here.
#[derive(Clone, Debug)]
pub struct Helper<'a> {
    /// File of the program.
    pub program: &'a Path,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: &'a Path,
    /// File for stdout; stdin and stderr are `/dev/null`.
    pub stdout: BorrowedFd<'a>,
}

/// A started helper.
#[derive(Debug)]
pub struct StartedHelper {
    pid: u32,
}

impl Helper<'_> {
    /// Starts the helper; returns once its program runs. Faster than a [`Command`] with
    /// [`detach`]: no memory of the caller is copied.
    ///
    /// # Errors
    ///
    /// If it cannot be executed; no process is left.
    pub fn spawn(&self) -> io::Result<StartedHelper> {
        let program = c_string(self.program.as_os_str())?;
        let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let nothing = spawn::above_stdio(nothing.into())?;
        let stdout = spawn::above_stdio(self.stdout.try_clone_to_owned()?)?;
        let mut argv = vec![program.clone()];
        for arg in &self.args {
            argv.push(c_string(arg)?);
        }
        let launched = launch(&Launch {
            candidates: vec![program],
            argv,
            env: spawn::environment(&self.env)?,
            cwd: c_string(self.cwd.as_os_str())?,
            stdio: [nothing.as_fd(), stdout.as_fd(), nothing.as_fd()],
            lifetime: Lifetime::Own,
            confinement: None,
        })
        .map_err(|error| match error {
            LaunchError::Directory(error) | LaunchError::Program(error) => error,
            LaunchError::Other(error) | LaunchError::Confinement(_, error) => error,
        })?;
        Ok(StartedHelper { pid: launched.pid })
    }
}

impl StartedHelper {
    /// Returns a child of this process that no other code waits for.
    pub(super) const fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the helper has ended.
    ///
    /// # Errors
    ///
    /// If it was reaped with orphans before, see [`super::super::reap_orphans`].
    pub fn wait(self) -> io::Result<ExitStatus> {
        loop {
            match waitpid(Some(pid_of(self.pid)?), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Makes `command` start in a new session, without file descriptors above 2: for helpers that
/// outlive the caller and its terminal. In a process that adopts orphans, such a helper is reaped
/// with them, and no other code may wait for it.
#[expect(unsafe_code, reason = "code between fork and exec")]
pub fn detach(command: &mut Command) {
    let prepare = || {
        // SAFETY: system calls without pointers.
        unsafe {
            if libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            // Where it is refused, close-on-exec of each descriptor does the same.
            let _refused =
                spawn::close_range(spawn::FIRST_FD, libc::c_uint::MAX, spawn::CLOSE_ON_EXEC);
        }
        Ok(())
    };
    // SAFETY: `prepare` makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}
