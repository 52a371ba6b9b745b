//! Identities of processes, and whether they live.

use std::fs;
use std::io;
use std::sync::OnceLock;

use errand_model::ProcessIdentity;

use super::stat::{self, Stat};

/// Lowest process id that is ever read or signalled: 1 is init, 0 means the caller's process group.
pub(super) const FIRST_PID: u32 = 2;

/// State of the process with an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The process runs (or is stopped).
    Alive,
    /// The process ended: it is gone, a zombie or of another boot, or another process has its pid
    /// now.
    Dead,
}

/// Returns the identity of the calling process.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn own_identity() -> io::Result<ProcessIdentity> {
    identity_of(std::process::id())?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc does not show this process"))
}

/// Returns the identity of the living process `pid`; `None` if no process with that id lives.
///
/// # Errors
///
/// If `/proc` cannot be read.
pub fn identity_of(pid: u32) -> io::Result<Option<ProcessIdentity>> {
    let Some(found) = stat::read(pid)?.filter(|found| !found.is_dead) else {
        return Ok(None);
    };
    identity(&found).map(Some)
}

/// Returns the identity of a child that was not reaped yet, whether it has ended or not.
pub(crate) fn identity_of_child(pid: u32) -> io::Result<ProcessIdentity> {
    let found = stat::read(pid)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc does not show a child"))?;
    identity(&found)
}

/// Returns the pid and the process group of a process as records show them. A process that is gone
/// is taken for the leader of its group.
pub fn pid_and_group(identity: &ProcessIdentity) -> (u32, u32) {
    (identity.pid, process_group_of(identity.pid).unwrap_or(identity.pid))
}

/// The process group that `pid` is in; `None` if there is no such process.
pub(crate) fn process_group_of(pid: u32) -> Option<u32> {
    stat::read(pid).ok().flatten().map(|found| found.group)
}

/// Returns true if the process of this identity may execute code: it is neither stopped nor dead.
pub(super) fn may_run(identity: &ProcessIdentity) -> bool {
    let found = stat::read(identity.pid).ok().flatten();
    found.is_some_and(|found| found.may_run && found.start_ticks == identity.start_ticks)
}

/// Returns the state of the process with this identity: one read of `/proc/<pid>/stat`.
///
/// If `/proc` cannot be read (for example, no file descriptor is left), the result is `Alive`,
/// because no other process may take over from one that could still live.
pub fn liveness(identity: &ProcessIdentity) -> Liveness {
    if identity.pid < FIRST_PID || boot_id().is_ok_and(|boot| boot != identity.boot_id) {
        return Liveness::Dead;
    }
    match stat::read(identity.pid) {
        Ok(Some(found)) if found.is_dead => Liveness::Dead,
        Ok(Some(found)) if found.start_ticks == identity.start_ticks => Liveness::Alive,
        Ok(Some(_) | None) => Liveness::Dead,
        Err(_) => Liveness::Alive,
    }
}

/// Converts a process that was just read into its identity.
pub(super) fn identity(found: &Stat) -> io::Result<ProcessIdentity> {
    Ok(ProcessIdentity {
        pid: found.pid,
        start_ticks: found.start_ticks,
        boot_id: boot_id()?.to_owned(),
    })
}

/// Returns the id of this boot, which is read once.
pub(super) fn boot_id() -> io::Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim().to_owned()))
}
