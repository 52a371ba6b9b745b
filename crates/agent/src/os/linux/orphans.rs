//! Children of this process: leaders that it supervises, and orphans that it adopts.
//!
//! A process that adopts orphans must reap them, and must not reap children for which other code
//! waits. Three kinds of children are distinguished: supervised leaders (registered here from
//! before they exist), helper programs such as `git` (in the session of this process), and orphans
//! (each attempt has its own session, and therefore its orphans never have this process's).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use rustix::process::{self, Pid, WaitId, WaitIdOptions, WaitOptions};

use super::children::children_of;
use super::signal::pid_of;
use super::stat;

/// Read-locked while a leader is spawned, and write-locked while children are classified, so that
/// no child is found before it is registered.
static SPAWNING: RwLock<()> = RwLock::new(());
/// Pids of leaders that are not reaped yet.
static SUPERVISED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Makes the calling process the parent of its orphaned descendants.
///
/// # Errors
///
/// If the kernel refuses; no kernel since 3.4 does.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(process::set_child_subreaper(Pid::from_raw(1))?)
}

/// Reaps adopted orphans that have ended, and returns their number. Never blocks.
///
/// Leaves supervised processes and children in this process's session alone. A child in its own
/// session (see [`super::super::detach`]) counts as an orphan once it has ended.
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
    for pid in children_of(own.pid) {
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

/// Releases a leader for which no code will wait any more; once dead, it is reaped as an orphan.
pub(crate) fn release_leader(pid: u32) {
    supervised().remove(&pid);
}

/// End of a leader: its status and its resource usage.
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
    // The lock is held so that no code takes the freed pid for a child that is not registered.
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

/// Prevents the spawning of leaders while the guard lives.
pub(super) fn hold_spawning() -> RwLockWriteGuard<'static, ()> {
    SPAWNING.write().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn is_supervised(pid: u32) -> bool {
    supervised().contains(&pid)
}

/// Returns the number of leaders that this process supervises.
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

/// Returns the file from which a process's program was loaded, if it can be read.
pub(super) fn program_of(pid: u32) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}
