//! Children: those we supervise, and orphans that the kernel hands to us.
//!
//! A process that adopted orphans must reap them, and must not reap what someone else waits for.
//! Three kinds of children are told apart: supervised leaders (registered here from before they
//! exist), helpers of our own such as `git` (they share our session), and orphans (every attempt
//! has a session of its own, so what it leaves behind never has ours).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use rustix::process::{self, Pid, WaitId, WaitIdOptions, WaitOptions};

use super::signal::pid_of;
use super::{stat, tree};

/// Read-locked while a leader is being spawned, write-locked while children are told apart: no
/// child is seen that is not registered yet.
static SPAWNING: RwLock<()> = RwLock::new(());
/// Pids of leaders that are not reaped yet.
static SUPERVISED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Makes the calling process the one that orphaned descendants are handed to.
///
/// # Errors
///
/// If the kernel refuses; no kernel since 3.4 does.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(process::set_child_subreaper(Pid::from_raw(1))?)
}

/// Reaps adopted orphans that have ended, and returns how many; never waits.
///
/// Leaves supervised processes and children in our own session alone. A child that was given a
/// session of its own (see [`super::super::detach`]) counts as an orphan once it has ended.
pub fn reap_orphans() -> usize {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(process::waitid(WaitId::All, peek), Ok(Some(_))) {
        return 0;
    }
    let _still = hold_spawning();
    let Ok(Some(own)) = stat::read(std::process::id()) else {
        return 0;
    };
    let mut reaped = 0;
    for pid in tree::children_of(own.pid) {
        if is_supervised(pid) {
            continue;
        }
        let Ok(Some(child)) = stat::read(pid) else {
            continue;
        };
        if child.is_dead
            && child.session != own.session
            && pid_of(pid).is_ok_and(|pid| {
                matches!(process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
            })
        {
            reaped += 1;
        }
    }
    reaped
}

/// Spawns a leader with `spawn` and registers the pid that it returns as supervised.
pub(crate) fn supervise<T, E>(
    spawn: impl FnOnce() -> Result<T, E>,
    pid_of: impl FnOnce(&T) -> u32,
) -> Result<T, E> {
    let _spawning = SPAWNING.read().unwrap_or_else(PoisonError::into_inner);
    let spawned = spawn()?;
    supervised().insert(pid_of(&spawned));
    Ok(spawned)
}

/// Gives up a leader that nobody will wait for; once dead it is reaped as an orphan.
pub(crate) fn release_leader(pid: u32) {
    supervised().remove(&pid);
}

/// How a leader ended, and what it used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) cpu: std::time::Duration,
    pub(crate) max_rss_bytes: u64,
}

/// Reaps the leader `pid`, which has ended.
#[expect(unsafe_code, reason = "wait4 has no safe wrapper that returns the resource usage")]
pub(crate) fn reap_leader(pid: u32) -> io::Result<Reaped> {
    let raw = pid_of(pid)?.as_raw_nonzero().get();
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // Held so that nobody takes the freed number for a child of ours that is not registered.
    let mut registered = supervised();
    let reaped = loop {
        // SAFETY: both pointers are to live values of the type that wait4 writes.
        let reaped = unsafe { libc::wait4(raw, &raw mut status, libc::WNOHANG, &raw mut usage) };
        if reaped == 0 {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the process has not ended"));
        }
        let error = io::Error::last_os_error();
        if reaped > 0 || error.kind() != io::ErrorKind::Interrupted {
            break if reaped > 0 { Ok(()) } else { Err(error) };
        }
    };
    registered.remove(&pid);
    reaped?;
    Ok(Reaped {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1_024),
    })
}

/// Keeps leaders from being spawned while the guard lives.
pub(super) fn hold_spawning() -> RwLockWriteGuard<'static, ()> {
    SPAWNING.write().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn is_supervised(pid: u32) -> bool {
    supervised().contains(&pid)
}

/// How many leaders this process supervises.
pub(super) fn supervised_count() -> usize {
    supervised().len()
}

fn supervised() -> std::sync::MutexGuard<'static, BTreeSet<u32>> {
    SUPERVISED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn duration(time: libc::timeval) -> std::time::Duration {
    let micros = u32::try_from(time.tv_usec).unwrap_or(0);
    std::time::Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), micros.saturating_mul(1_000))
}

/// The file that a process' program was loaded from, if it may be known.
pub(super) fn program_of(pid: u32) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}
