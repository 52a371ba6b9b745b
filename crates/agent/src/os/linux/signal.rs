//! Signals that never reach a stranger.

use std::io;
use std::os::fd::OwnedFd;

use errand_model::ProcessIdentity;
use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags};

use super::identity::{FIRST_PID, Liveness, liveness};

/// What errand tells processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGUSR1 to a helper: look at the registry.
    Look,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGINT, what Ctrl-C sends.
    Interrupt,
}

impl Signal {
    fn raw(self) -> process::Signal {
        match self {
            Self::Terminate => process::Signal::TERM,
            Self::Kill => process::Signal::KILL,
            Self::Look => process::Signal::USR1,
            Self::Stop => process::Signal::STOP,
            Self::Continue => process::Signal::CONT,
            Self::Interrupt => process::Signal::INT,
        }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The process of that identity got it.
    Delivered,
    /// There is no such process any more; nobody got it.
    Gone,
}

/// Sends `signal` to exactly the process of that identity.
///
/// A pidfd pins the process, and only then its start time is compared: a pid that was reused in
/// between gets nothing.
///
/// # Errors
///
/// `InvalidInput` for pid 0 and 1, `PermissionDenied` for another user's process.
pub fn signal(identity: &ProcessIdentity, signal: Signal) -> io::Result<Delivery> {
    let Some(pinned) = pin(identity)? else {
        return Ok(Delivery::Gone);
    };
    match process::pidfd_send_signal(&pinned, signal.raw()) {
        Ok(()) => Ok(Delivery::Delivered),
        Err(Errno::SRCH) => Ok(Delivery::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Whether this process ignores SIGHUP, as `nohup` has it. To be asked before it is listened for.
///
/// Where `/proc` does not say, the answer is no.
pub fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANG_UP_BIT != 0)
}

/// The bit of SIGHUP, which is signal 1, in masks of signals.
const HANG_UP_BIT: u64 = 1;

/// A pidfd of the living process of that identity; `None` if it is gone.
pub(crate) fn pin(identity: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let pid = pid_of(identity.pid)?;
    let pinned = match process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pinned) => pinned,
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match liveness(identity) {
        Liveness::Alive => Ok(Some(pinned)),
        Liveness::Dead => Ok(None),
    }
}

/// Sends `signal` to the process group `leader`, whose leader the caller has not reaped yet: only
/// that keeps the number from meaning another group.
pub(crate) fn signal_group(leader: u32, signal: Signal) -> io::Result<Delivery> {
    match process::kill_process_group(pid_of(leader)?, signal.raw()) {
        Ok(()) => Ok(Delivery::Delivered),
        Err(Errno::SRCH) => Ok(Delivery::Gone),
        Err(error) => Err(error.into()),
    }
}

/// `pid` as the kernel takes it, unless it is one that must never be signalled.
pub(super) fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().filter(|_| pid >= FIRST_PID).and_then(Pid::from_raw).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is not the pid of a run"))
    })
}
