//! A running agent process: waiting for its end, and ending it.

use std::future::Future;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use errand_model::ProcessIdentity;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::pump::{Printed, Pumps};
use super::run_process::RunProcess;
use super::sandbox::Relay;
use crate::os::{self, Readable, Signal, Signalled};
use crate::target::{Conversation, Exit, ExitUsage};

/// Time for which processes left behind may outlive their leader before they are ended.
pub const LEAK_GRACE: Duration = Duration::from_millis(200);
/// Time between SIGTERM and SIGKILL for processes left behind.
pub const STRAGGLER_GRACE: Duration = Duration::from_secs(1);
/// Time after the first SIGKILL in which a process may still live. Only a kernel that is stuck in a
/// device takes that long.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Interval of searches for processes after SIGKILL, because they may have forked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Process of a running attempt. Dropping it kills all processes of the attempt.
#[derive(Debug)]
pub struct RunningProcess {
    process: RunProcess,
    leader: Readable,
    started_at: Instant,
    memory_limit_bytes: Option<u64>,
    conversation: Mutex<Option<Conversation>>,
    state: Mutex<State>,
    /// Wakes the waiting task when the time of SIGKILL has changed.
    kill_planned: Notify,
    /// Held by the waiting task until the attempt is over.
    pumps: tokio::sync::Mutex<Pumps>,
    /// Way from the agent's own network to its door.
    _relay: Option<Relay>,
}

/// Progress of an attempt towards its end.
#[derive(Debug)]
struct State {
    phase: Phase,
    /// Processes that outlived the leader and were signalled to end.
    stragglers: Signalled,
    /// Processes outside of the leader's group that were signalled to end.
    told: Vec<ProcessIdentity>,
    /// Time until which pipes may stay open after all processes have ended.
    pipes_until: Option<Instant>,
}

/// Phase of an attempt's end.
#[derive(Debug)]
enum Phase {
    /// No end was requested.
    Undisturbed { exited_at: Option<Instant> },
    /// SIGTERM was sent; SIGKILL follows at `kill_at`.
    Ending { exited_at: Option<Instant>, kill_at: Instant },
    /// No process lives, and the leader is reaped.
    Over(Exit),
}

impl RunningProcess {
    pub(super) fn new(
        (process, leader): (RunProcess, Readable),
        started_at: Instant,
        pumps: Pumps,
        (conversation, memory_limit_bytes, relay): (
            Option<Conversation>,
            Option<u64>,
            Option<Relay>,
        ),
    ) -> Self {
        let state = State {
            phase: Phase::Undisturbed { exited_at: None },
            stragglers: Signalled::default(),
            told: Vec::new(),
            pipes_until: None,
        };
        Self {
            process,
            leader,
            started_at,
            memory_limit_bytes,
            conversation: Mutex::new(conversation),
            state: Mutex::new(state),
            kill_planned: Notify::new(),
            pumps: tokio::sync::Mutex::new(pumps),
            _relay: relay,
        }
    }

    /// Returns the identity of the leader.
    pub fn identity(&self) -> &ProcessIdentity {
        self.process.identity()
    }

    pub(super) fn process(&self) -> &RunProcess {
        &self.process
    }

    /// Returns the limit of the memory that the attempt's processes may use together, in bytes.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit_bytes
    }

    pub(super) fn take_conversation(&self) -> Option<Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until the attempt is over: the leader has ended, all processes left behind have ended
    /// (they are ended after [`LEAK_GRACE`]), and all output is logged.
    ///
    /// May be cancelled and called again; after the end it returns the same exit.
    ///
    /// # Errors
    ///
    /// `TimedOut` if a process outlives SIGKILL; the attempt is not over then, and this can be
    /// called again.
    pub async fn wait(&self) -> io::Result<Exit> {
        let mut pumps = self.pumps.lock().await;
        self.run_to_end(&mut pumps).await
    }

    /// Ends the attempt as [`RunningProcess::begin_stop`] does, and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`RunningProcess::wait`].
    pub async fn stop(&self, grace: Duration) -> io::Result<Exit> {
        self.begin_stop(grace);
        self.wait().await
    }

    /// Sends SIGTERM to all processes of the attempt. SIGKILL follows for those that live after
    /// `grace`, while [`RunningProcess::wait`] waits. A shorter grace period in a later call
    /// counts. Without a grace period, SIGKILL is sent at once.
    pub fn begin_stop(&self, grace: Duration) {
        let now = Instant::now();
        let kill_at = now + grace;
        let mut state = self.state();
        match &mut state.phase {
            Phase::Over(_) => return,
            Phase::Ending { kill_at: planned, .. } => *planned = kill_at.min(*planned),
            Phase::Undisturbed { exited_at } => {
                state.phase = Phase::Ending { exited_at: *exited_at, kill_at };
                if !grace.is_zero() {
                    state.told = self.process.tell(Signal::Terminate);
                }
            }
        }
        if grace.is_zero() {
            // The waiting task finds processes that are missed here.
            self.process.kill_group();
        }
        self.kill_planned.notify_one();
    }

    /// Freezes all processes of the attempt, also those that left its group. Once this returns,
    /// none of them executes until [`RunningProcess::thaw`] or an end of the attempt.
    ///
    /// # Errors
    ///
    /// `TimedOut` if some processes continue to run.
    pub fn freeze(&self) -> io::Result<()> {
        let state = self.state();
        match state.phase {
            Phase::Over(_) => Ok(()),
            Phase::Undisturbed { .. } | Phase::Ending { .. } => self.process.freeze(),
        }
    }

    /// Continues all frozen processes.
    pub fn thaw(&self) {
        let state = self.state();
        match state.phase {
            Phase::Over(_) => {}
            Phase::Undisturbed { .. } | Phase::Ending { .. } => self.process.thaw(),
        }
    }

    /// Locks the state, which also keeps the leader from being reaped. Never across an `.await`.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_to_end(&self, pumps: &mut Pumps) -> io::Result<Exit> {
        let mut killed_at = None;
        let mut is_told = false;
        loop {
            let (exited_at, kill_at) = match &self.state().phase {
                Phase::Over(exit) => return Ok(exit.clone()),
                Phase::Undisturbed { exited_at } => (*exited_at, None),
                Phase::Ending { exited_at, kill_at } => (*exited_at, Some(*kill_at)),
            };
            let now = Instant::now();
            let kill_due = kill_at.filter(|at| *at <= now);
            if kill_due.is_some() {
                if now.saturating_duration_since(*killed_at.get_or_insert(now)) > KILL_LIMIT {
                    let text =
                        format!("processes of run {} outlive SIGKILL", self.process.run_id());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                drop(self.process.tell(Signal::Kill));
            }
            let look_again = kill_due.map(|_| now + LOOK_AGAIN).or(kill_at);
            let Some(exited_at) = exited_at else {
                let ended = self.unless_planned(until(look_again, self.leader.readable()));
                if ended.await.flatten().transpose()?.is_some() {
                    self.leader_ended();
                }
                continue;
            };
            let left = self.process.left_behind();
            if left.is_empty() {
                return self.finish(pumps, exited_at).await;
            }
            if kill_at.is_some() && kill_due.is_none() && !std::mem::replace(&mut is_told, true) {
                // While processes end, others of the same parent may be missed.
                self.process.tell_missed(&left, &self.state().told);
            }
            let gone_by = match look_again {
                Some(at) => Some(at),
                None => Some(exited_at + LEAK_GRACE).filter(|at| now < *at),
            };
            match gone_by {
                Some(at) => drop(self.unless_planned(wait_gone(&left, at)).await.transpose()?),
                None => self.end_stragglers(&left, exited_at),
            }
        }
    }

    fn leader_ended(&self) {
        let now = Some(Instant::now());
        match &mut self.state().phase {
            Phase::Undisturbed { exited_at } | Phase::Ending { exited_at, .. } => *exited_at = now,
            Phase::Over(_) => {}
        }
    }

    /// Signals processes that outlive their leader for too long to end.
    fn end_stragglers(&self, left: &[ProcessIdentity], exited_at: Instant) {
        let kill_at = Instant::now() + STRAGGLER_GRACE;
        let mut state = self.state();
        state.stragglers.terminate(left);
        state.phase = Phase::Ending { exited_at: Some(exited_at), kill_at };
    }

    /// Takes the rest of the output, and reaps the leader. No process of the attempt lives any
    /// more.
    async fn finish(&self, pumps: &mut Pumps, exited_at: Instant) -> io::Result<Exit> {
        let pipes_until =
            *self.state().pipes_until.get_or_insert_with(|| Instant::now() + LEAK_GRACE);
        if until(Some(pipes_until), pumps.finished()).await.is_none() {
            // A process outside of the run holds a pipe open, or the receiver of the output is
            // slow.
            pumps.close();
            pumps.finished().await;
        }
        let mut state = self.state();
        let reaped = os::reap_leader(self.process.leader())?;
        os::reap_orphans();
        let Printed { stdout, stderr_tail } = pumps.take_printed();
        let exit = Exit {
            code: reaped.code,
            signal: reaped.signal,
            usage: ExitUsage {
                wall: exited_at.saturating_duration_since(self.started_at),
                cpu: reaped.cpu,
                max_rss_bytes: reaped.max_rss_bytes,
            },
            stdout,
            stderr_tail,
            stragglers: state.stragglers.count(),
            // Memory is limited by the supervisor, not by the kernel.
            oom_kills: 0,
            failure: None,
        };
        state.phase = Phase::Over(exit.clone());
        Ok(exit)
    }

    /// Waits for `future`; `None` if the time of SIGKILL changes first.
    async fn unless_planned<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = self.kill_planned.notified() => None,
        }
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        if !matches!(self.state().phase, Phase::Over(_)) {
            drop(self.process.tell(Signal::Kill));
            os::release_leader(self.process.leader());
        }
    }
}

/// Waits for `future`, at most until `deadline`.
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
