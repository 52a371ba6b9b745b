//! An attempt that runs: waiting for its end, and bringing it about.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use errand_model::{ProcessIdentity, RunId};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout_at;

use super::memory::MemoryLimit;
use super::pump::{Printed, Pumps};
use super::stdout::Stdout;
use crate::os::{self, Launched, Roots, Signal, Signalled};

/// How long what an attempt leaves behind may live on after its leader, before it is ended.
pub const LEAK_GRACE: Duration = Duration::from_millis(200);
/// How long what was left behind has between SIGTERM and SIGKILL.
pub const STRAGGLER_GRACE: Duration = Duration::from_secs(1);
/// How long after the first SIGKILL a process may still be there: only a kernel that is stuck in a
/// device takes that long.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// After SIGKILL, processes are looked for again this often: they may have forked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// The leader's exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it otherwise.
    pub signal: Option<i32>,
    /// What it used.
    pub usage: Usage,
    /// What it wrote to stdout.
    pub stdout: Stdout,
    /// The last lines that it wrote to stderr, with secrets masked: at most
    /// [`STDERR_TAIL_LINES`](super::STDERR_TAIL_LINES) and
    /// [`STDERR_TAIL_BYTES`](super::STDERR_TAIL_BYTES); `None`: it wrote none.
    pub stderr_tail: Option<String>,
    /// How many processes it left behind that had to be ended.
    pub stragglers: usize,
}

/// What an attempt used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From its start until its leader ended.
    pub wall: Duration,
    /// User and system time of the leader and of all descendants that it waited for.
    pub cpu: Duration,
    /// Highest resident memory of any one of them. The kernel counts the supervisor's own memory
    /// at the moment of the start in, so that small programs look as large as the supervisor.
    pub max_rss_bytes: u64,
}

/// A running attempt. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    run_id: RunId,
    /// Its number, where its environment says it.
    attempt: Option<u32>,
    identity: ProcessIdentity,
    leader: AsyncFd<OwnedFd>,
    pumps: Pumps,
    started_at: Instant,
    phase: Phase,
    /// Who outlived the leader and was told to end.
    stragglers: Signalled,
    /// Processes outside of its group that were asked to end.
    told: Vec<ProcessIdentity>,
    /// When everything has ended, how long the pipes may stay open.
    pipes_until: Option<Instant>,
}

/// How far the end has come.
#[derive(Debug)]
enum Phase {
    /// Nobody asked it to end.
    Undisturbed {
        exited_at: Option<Instant>,
    },
    /// SIGTERM was sent; SIGKILL follows at `kill_at`.
    Ending {
        exited_at: Option<Instant>,
        kill_at: Instant,
    },
    Over(Exit),
}

impl Running {
    pub(super) fn new(
        (run_id, attempt): (RunId, Option<u32>),
        launched: Launched,
        started_at: Instant,
        pumps: Pumps,
    ) -> io::Result<Self> {
        let pid = launched.pid;
        let parts = os::readable(launched.pidfd)
            .and_then(|leader| Ok((leader, os::identity_of_child(pid)?)));
        match parts {
            Ok((leader, identity)) => Ok(Self {
                run_id,
                attempt,
                identity,
                leader,
                pumps,
                started_at,
                phase: Phase::Undisturbed { exited_at: None },
                stragglers: Signalled::default(),
                told: Vec::new(),
                pipes_until: None,
            }),
            Err(error) => {
                // A leader that cannot be watched must not run.
                let _told = os::signal_group(pid, Signal::Kill);
                os::release_leader(pid);
                Err(error)
            }
        }
    }

    /// A limit on the memory of its processes.
    pub fn memory_limit(&self, limit_bytes: u64) -> MemoryLimit {
        let leader = (self.identity.pid, self.identity.start_ticks);
        MemoryLimit::new((self.run_id.clone(), self.attempt), leader, limit_bytes)
    }

    /// The leader.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// The process group that the leader leads: its pid.
    pub fn process_group_id(&self) -> u32 {
        self.identity.pid
    }

    /// Waits until the attempt is over: the leader has ended, everything that it left behind has
    /// ended (after [`LEAK_GRACE`] it is made to), and all output is logged.
    ///
    /// May be cancelled and called again; after the end it gives the same answer.
    ///
    /// # Errors
    ///
    /// `TimedOut` if a process outlives SIGKILL; the attempt is not over then, and it can be asked
    /// again.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        self.run_to_end().await
    }

    /// Ends the attempt: SIGTERM to everything of it, SIGKILL to what lives after `grace`, until
    /// nothing does. May be cancelled; a shorter grace period in a later call counts.
    ///
    /// # Errors
    ///
    /// As [`Running::wait`].
    pub async fn stop(&mut self, grace: Duration) -> io::Result<Exit> {
        let kill_at = Instant::now() + grace;
        match &mut self.phase {
            Phase::Over(_) => {}
            Phase::Ending { kill_at: planned, .. } => *planned = kill_at.min(*planned),
            Phase::Undisturbed { exited_at } => {
                self.phase = Phase::Ending { exited_at: *exited_at, kill_at };
                if !grace.is_zero() {
                    self.told = self.tell(Signal::Terminate);
                }
            }
        }
        self.run_to_end().await
    }

    /// Sends SIGKILL to everything of the attempt now; [`Running::wait`] waits for the rest.
    pub fn kill(&mut self) {
        let now = Instant::now();
        match &mut self.phase {
            Phase::Over(_) => return,
            Phase::Ending { kill_at, .. } => *kill_at = now.min(*kill_at),
            Phase::Undisturbed { exited_at } => {
                self.phase = Phase::Ending { exited_at: *exited_at, kill_at: now };
            }
        }
        // What is missed here is found by whoever waits.
        let _told = os::signal_group(self.identity.pid, Signal::Kill);
    }

    /// Freezes everything of the attempt, also what left its process group. Returns once nothing of
    /// it executes anything; [`Running::thaw`] undoes it, and so does every way to end it.
    ///
    /// # Errors
    ///
    /// `TimedOut` if some processes go on all the same.
    pub fn freeze(&self) -> io::Result<()> {
        match self.phase {
            Phase::Over(_) => Ok(()),
            Phase::Undisturbed { .. } | Phase::Ending { .. } => {
                os::freeze_run(&self.run_id, &self.roots(&[self.identity.pid]))
            }
        }
    }

    /// Lets what was frozen go on.
    pub fn thaw(&self) {
        match self.phase {
            Phase::Over(_) => {}
            Phase::Undisturbed { .. } | Phase::Ending { .. } => {
                os::thaw_run(&self.run_id, &self.roots(&[self.identity.pid]));
            }
        }
    }

    fn roots<'a>(&self, known: &'a [u32]) -> Roots<'a> {
        let oldest_ticks = self.identity.start_ticks;
        let supervisor = Some(std::process::id());
        Roots { supervisor, known, oldest_ticks, last_attempt: self.attempt }
    }

    async fn run_to_end(&mut self) -> io::Result<Exit> {
        let mut killed_at = None;
        let mut is_told = false;
        loop {
            let (exited_at, kill_at) = match &self.phase {
                Phase::Over(exit) => return Ok(exit.clone()),
                Phase::Undisturbed { exited_at } => (*exited_at, None),
                Phase::Ending { exited_at, kill_at } => (*exited_at, Some(*kill_at)),
            };
            let now = Instant::now();
            let kill_due = kill_at.filter(|at| *at <= now);
            if kill_due.is_some() {
                if now.saturating_duration_since(*killed_at.get_or_insert(now)) > KILL_LIMIT {
                    let text = format!("processes of run {} outlive SIGKILL", self.run_id);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                drop(self.tell(Signal::Kill));
            }
            let look_again = kill_due.map(|_| now + LOOK_AGAIN).or(kill_at);
            let Some(exited_at) = exited_at else {
                if until(look_again, self.leader.readable()).await.transpose()?.is_some() {
                    self.leader_ended();
                }
                continue;
            };
            let left = self.left_behind();
            if left.is_empty() {
                return self.finish(exited_at).await;
            }
            if kill_at.is_some() && kill_due.is_none() && !std::mem::replace(&mut is_told, true) {
                // While processes end, others of the same parent may be missed.
                self.tell_missed(&left);
            }
            match look_again {
                Some(at) => wait_gone(&left, at).await?,
                None if now < exited_at + LEAK_GRACE => {
                    wait_gone(&left, exited_at + LEAK_GRACE).await?;
                }
                None => {
                    let kill_at = now + STRAGGLER_GRACE;
                    self.stragglers.terminate(&left);
                    self.phase = Phase::Ending { exited_at: Some(exited_at), kill_at };
                }
            }
        }
    }

    fn leader_ended(&mut self) {
        let now = Some(Instant::now());
        if let Phase::Undisturbed { exited_at } | Phase::Ending { exited_at, .. } = &mut self.phase
        {
            *exited_at = now;
        }
    }

    /// Sends a signal to the group and to whatever of the run has left it. One that may not be
    /// signalled does not keep the others from it: it is still there at the next look. Returns what
    /// it found outside of the group.
    fn tell(&self, signal: Signal) -> Vec<ProcessIdentity> {
        let leader = self.identity.pid;
        let mut signals = vec![signal];
        if signal == Signal::Terminate {
            // A stopped process sees SIGTERM only once it goes on.
            signals.push(Signal::Continue);
        }
        let known = [leader];
        let roots = self.roots(&known);
        for &signal in &signals {
            let _told = os::signal_group(leader, signal);
        }
        let mut found = os::processes_of_run(&self.run_id, &roots);
        found.retain(|process| os::process_group_of(process.pid) != Some(leader));
        for process in &found {
            for &signal in &signals {
                let _told = os::signal(process, signal);
            }
        }
        found
    }

    /// Asks those that are left to end that were not found when the others were asked.
    fn tell_missed(&self, left: &[ProcessIdentity]) {
        let is_missed = |process: &&ProcessIdentity| {
            os::process_group_of(process.pid) != Some(self.identity.pid)
                && !self.told.contains(process)
        };
        for process in left.iter().filter(is_missed) {
            for signal in [Signal::Terminate, Signal::Continue] {
                let _told = os::signal(process, signal);
            }
        }
    }

    /// What lives of the run, the leader having ended.
    fn left_behind(&self) -> Vec<ProcessIdentity> {
        os::leftovers_of(self.identity.pid, &self.run_id)
    }

    /// Nothing lives any more: takes the rest of the output, and reaps.
    async fn finish(&mut self, exited_at: Instant) -> io::Result<Exit> {
        let pipes_until = *self.pipes_until.get_or_insert_with(|| Instant::now() + LEAK_GRACE);
        if until(Some(pipes_until), self.pumps.finished()).await.is_none() {
            // Someone who does not belong to the run holds a pipe open, or the taker is slow.
            self.pumps.close();
            self.pumps.finished().await;
        }
        let reaped = os::reap_leader(self.identity.pid)?;
        os::reap_orphans();
        let Printed { stdout, stderr_tail } = self.pumps.take_printed();
        let exit = Exit {
            code: reaped.code,
            signal: reaped.signal,
            usage: Usage {
                wall: exited_at.saturating_duration_since(self.started_at),
                cpu: reaped.cpu,
                max_rss_bytes: reaped.max_rss_bytes,
            },
            stdout,
            stderr_tail,
            stragglers: self.stragglers.count(),
        };
        self.phase = Phase::Over(exit.clone());
        Ok(exit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.phase, Phase::Over(_)) {
            drop(self.tell(Signal::Kill));
            os::release_leader(self.identity.pid);
        }
    }
}

/// `future`, but at most until `deadline`.
async fn until<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline.into(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Waits until all of `processes` have ended, at most until `deadline`.
async fn wait_gone(processes: &[ProcessIdentity], deadline: Instant) -> io::Result<()> {
    for process in processes {
        let Some(pinned) = os::pin(process)? else {
            continue;
        };
        let pinned = os::readable(pinned)?;
        if until(Some(deadline), pinned.readable()).await.is_none() {
            return Ok(());
        }
    }
    Ok(())
}
