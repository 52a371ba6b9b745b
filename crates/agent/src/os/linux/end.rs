//! Ends all processes of a run whose supervisor is gone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use errand_model::{ProcessIdentity, RunId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::identity::{Liveness, boot_id, liveness};
use super::signal::{self, Signal, signal};
use super::tree::{Roots, processes_of_run};

/// Time limit for processes to end after SIGKILL. They take longer only if the kernel is stuck in a
/// device.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Time for which a list of living processes is used before the next search: processes may have
/// forked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Ends every process of the run and returns their number. To be called after a helper's death by
/// the process that holds the run's lease.
///
/// SIGTERM first, SIGKILL after `grace`, and again until none lives. `known` are recorded
/// identities (the agent's, the helper's). They are checked before any signal is sent, and
/// processes that started before all of them are left out of the search. Cheap if nothing lives:
/// one search through `/proc`, and none if `known` is of another boot.
///
/// # Errors
///
/// `TimedOut` if a process still lives 10 s after SIGKILL: it is stuck in the kernel, or belongs to
/// another user.
pub fn end_run_processes(
    run_id: &RunId,
    known: &[ProcessIdentity],
    grace: Duration,
) -> io::Result<usize> {
    let boot = boot_id()?;
    let of_this_boot = || known.iter().filter(|identity| identity.boot_id == boot);
    if !known.is_empty() && of_this_boot().next().is_none() {
        return Ok(0);
    }
    let oldest_ticks = of_this_boot().map(|identity| identity.start_ticks).min().unwrap_or(0);
    let started = Instant::now();
    let mut ended = Signalled::default();
    let mut is_empty_before = false;
    loop {
        let alive: Vec<u32> = of_this_boot()
            .filter(|identity| liveness(identity) == Liveness::Alive)
            .map(|identity| identity.pid)
            .collect();
        let roots = Roots { supervisor: None, known: &alive, oldest_ticks, last_attempt: None };
        let living = processes_of_run(run_id, &roots);
        if living.is_empty() {
            // A process that forks and ends during a search can be missed once, but not twice.
            if ended.count() == 0 || is_empty_before {
                return Ok(ended.count());
            }
            is_empty_before = true;
            continue;
        }
        is_empty_before = false;
        let elapsed = started.elapsed();
        if elapsed >= grace.saturating_add(KILL_LIMIT) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{} processes of run {run_id} outlive SIGKILL", living.len()),
            ));
        }
        if elapsed < grace {
            ended.terminate(&living);
        } else {
            ended.kill(&living);
        }
        let until_kill = grace.checked_sub(elapsed).filter(|left| !left.is_zero());
        wait_until_gone(&living, until_kill.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)))?;
    }
}

/// Processes that were signalled, each once.
#[derive(Debug, Default)]
pub(crate) struct Signalled(BTreeSet<(u32, u64)>);

impl Signalled {
    /// Sends SIGTERM to processes that did not get it yet, and SIGCONT so that a stopped process
    /// receives it. A process that cannot be signalled is found again by the next search.
    pub(crate) fn terminate(&mut self, living: &[ProcessIdentity]) {
        for process in living {
            if self.0.insert((process.pid, process.start_ticks)) {
                let _told = signal(process, Signal::Terminate);
                let _told = signal(process, Signal::Continue);
            }
        }
    }

    /// Sends SIGKILL. A process that cannot be signalled is found again by the next search.
    fn kill(&mut self, living: &[ProcessIdentity]) {
        for process in living {
            self.0.insert((process.pid, process.start_ticks));
            let _told = signal(process, Signal::Kill);
        }
    }

    /// Returns the number of signalled processes.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Blocks until all of `processes` have ended, at most for `limit`.
fn wait_until_gone(processes: &[ProcessIdentity], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    for process in processes {
        let Some(pinned) = signal::pin(process)? else {
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let fd = pinned.as_fd();
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
