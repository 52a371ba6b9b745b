//! Signals to processes of runs; none reaches another process.

use std::io;
use std::os::fd::OwnedFd;

use errand_model::ProcessIdentity;
use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags};

use super::identity::{FIRST_PID, Liveness, liveness};

/// A signal that errand sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asks the process to end.
    Terminate,
    /// SIGKILL: ends the process.
    Kill,
    /// SIGUSR1 to a helper: it reads the registry.
    Look,
    /// SIGSTOP: stops the process.
    Stop,
    /// SIGCONT: continues the process.
    Continue,
    /// SIGINT, which Ctrl-C sends.
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

/// Result of sending a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalDelivery {
    /// The process of the identity got the signal.
    Delivered,
    /// The process has ended; no process got the signal.
    Gone,
}

/// Sends `signal` to exactly the process of this identity.
///
/// A pidfd pins the process before its start time is compared; a process that reuses the pid gets
/// nothing.
///
/// # Errors
///
/// `InvalidInput` for pid 0 and 1, `PermissionDenied` for another user's process.
pub fn signal(identity: &ProcessIdentity, signal: Signal) -> io::Result<SignalDelivery> {
    let Some(pinned) = pin(identity)? else {
        return Ok(SignalDelivery::Gone);
    };
    match process::pidfd_send_signal(&pinned, signal.raw()) {
        Ok(()) => Ok(SignalDelivery::Delivered),
        Err(Errno::SRCH) => Ok(SignalDelivery::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Returns true if this process ignores SIGHUP, as under `nohup`; false if `/proc` cannot be read.
/// To be called before the process handles SIGHUP.
pub fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANG_UP_BIT != 0)
}

/// Bit of SIGHUP, which is signal 1, in masks of signals.
const HANG_UP_BIT: u64 = 1;

/// Opens a pidfd of the living process with this identity; `None` if it has ended.
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

/// Sends `signal` to the process group of `leader`, which the caller must not have reaped yet:
/// until then no other group can have this number.
pub(crate) fn signal_group(leader: u32, signal: Signal) -> io::Result<SignalDelivery> {
    match process::kill_process_group(pid_of(leader)?, signal.raw()) {
        Ok(()) => Ok(SignalDelivery::Delivered),
        Err(Errno::SRCH) => Ok(SignalDelivery::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Converts `pid` for the kernel; fails for a pid that must never be signalled.
pub(super) fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().filter(|_| pid >= FIRST_PID).and_then(Pid::from_raw).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is not the pid of a run"))
    })
}
