//! A container in which an agent lives.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};
use errand_agent::target::{Conversation, Exit, Live, MemoryExceeded};
use errand_model::Locator;
use errand_model::event::MemoryEnforcement;
use errand_shim::Order;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::claim::AttemptClaim;
use crate::control::OrderPipe;
use crate::engine::{ContainerEngine, status, text};
use crate::kept::KeptFolder;
use crate::moment::sleep_until;
use crate::output::{ContainerEnd, ContainerReported};
use crate::stop_plan::{KILL, SHIM_LIMIT, StopPlan, StopStep, TERM, code_or_signal};

/// Time after the first SIGKILL in which a container may still live.
const KILL_LIMIT: Duration = Duration::from_secs(20);
/// Parts of a container that was started.
#[derive(Debug)]
pub(crate) struct StartedContainer {
    pub(crate) engine: ContainerEngine,
    pub(crate) id: String,
    pub(crate) locator: Locator,
    pub(crate) kept: KeptFolder,
    pub(crate) orders: Arc<OrderPipe>,
    pub(crate) conversation: Option<Conversation>,
    pub(crate) pump: JoinSet<ContainerReported>,
    pub(crate) has_memory_limit: bool,
    pub(crate) started_at: Instant,
    pub(crate) is_frozen: bool,
    pub(crate) claim: AttemptClaim,
}

/// A container in which an agent lives. Dropping it leaves the container alone: the next holder of the
/// run's lease finds it by its labels.
#[derive(Debug)]
pub(crate) struct LiveContainer {
    engine: ContainerEngine,
    id: String,
    locator: Locator,
    kept: KeptFolder,
    orders: Arc<OrderPipe>,
    conversation: Mutex<Option<Conversation>>,
    pump: tokio::sync::Mutex<JoinSet<ContainerReported>>,
    has_memory_limit: bool,
    started_at: Instant,
    state: Mutex<State>,
    /// Wakes the waiting task when the time of SIGKILL has changed.
    kill_planned: Notify,
    /// True while the container is paused; held while that changes.
    is_frozen: tokio::sync::Mutex<bool>,
    _claim: AttemptClaim,
}

/// Progress of a container towards its end.
#[derive(Debug, Default)]
struct State {
    plan: StopPlan,
    reported: Option<ContainerReported>,
    exit: Option<Exit>,
    /// True once the engine has removed the container.
    is_removed: bool,
}

impl LiveContainer {
    pub(crate) fn new(started: StartedContainer) -> Self {
        let StartedContainer {
            engine,
            id,
            locator,
            kept,
            orders,
            conversation,
            pump,
            has_memory_limit,
            started_at,
            is_frozen,
            claim,
        } = started;
        Self {
            engine,
            id,
            locator,
            kept,
            orders,
            conversation: Mutex::new(conversation),
            pump: tokio::sync::Mutex::new(pump),
            has_memory_limit,
            started_at,
            state: Mutex::default(),
            kill_planned: Notify::new(),
            is_frozen: tokio::sync::Mutex::new(is_frozen),
            _claim: claim,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to all processes of the container.
    async fn signal(&self, signal: i32) {
        // A paused container receives nothing.
        self.thaw().await;
        // A broken pipe means that the container has ended.
        drop(self.orders.send(&Order::Signal(signal)).await);
    }

    async fn kill_by_engine(&self) {
        let options = KillContainerOptions { signal: "SIGKILL".to_owned() };
        // An error means that it does not run, or that it is tried again.
        drop(self.engine.docker.kill_container(&self.id, Some(options)).await);
    }

    /// Waits until the container has ended, and performs a planned stop meanwhile.
    async fn until_reported(&self) -> io::Result<()> {
        let mut pump = self.pump.lock().await;
        loop {
            if self.state().reported.is_some() {
                return Ok(());
            }
            let step = self.state().plan.next(Instant::now(), KILL_LIMIT);
            let wait_until = match step {
                StopStep::Wait => None,
                StopStep::Until(at) => Some(at),
                StopStep::Ask => {
                    self.signal(TERM).await;
                    continue;
                }
                StopStep::Kill => {
                    self.signal(KILL).await;
                    continue;
                }
                StopStep::KillFromOutside => {
                    self.kill_by_engine().await;
                    Some(Instant::now() + SHIM_LIMIT)
                }
                StopStep::Outlived => {
                    let message = format!("the container {} outlives SIGKILL", self.id);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
            };
            tokio::select! {
                biased;
                reported = pump.join_next() => {
                    let reported = match reported {
                        Some(Ok(reported)) => reported,
                        Some(Err(error)) => return Err(io::Error::other(error)),
                        None => return Err(io::Error::other("the container has no output")),
                    };
                    self.state().reported = Some(reported);
                }
                () = self.kill_planned.notified() => {}
                () = sleep_until(wait_until) => {}
            }
        }
    }

    /// Returns the end of a container that reported none: it was killed from outside.
    async fn end_without_report(&self) -> ContainerEnd {
        let found = self.engine.docker.inspect_container(&self.id, None).await;
        let state = found.ok().and_then(|found| found.state).unwrap_or_default();
        let oom_kills = u64::from(state.oom_killed.unwrap_or_default());
        let (code, signal) = match state.exit_code {
            Some(code) if !state.running.unwrap_or_default() => {
                i32::try_from(code).map_or((None, None), code_or_signal)
            }
            // Removed, or its first process was killed a moment ago.
            Some(_) | None => (None, Some(KILL)),
        };
        ContainerEnd { code, signal, oom_kills }
    }

    async fn exit(&self) -> Exit {
        let ended = self.state().reported.as_ref().and_then(ContainerReported::ended);
        let ended = match ended {
            Some(ended) => ended,
            None => self.end_without_report().await,
        };
        ContainerReported::exit(self.state().reported.as_ref(), ended, self.started_at)
    }
}

/// Removes a container, killed if it runs.
pub(crate) async fn remove(engine: &ContainerEngine, id: &str) -> io::Result<()> {
    let options =
        RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    match engine.docker.remove_container(id, Some(options)).await {
        Err(error) if status(&error) != Some(404) => {
            Err(io::Error::other(format!("the container {id} cannot be removed: {}", text(&error))))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[async_trait]
impl Live for LiveContainer {
    fn locator(&self) -> Locator {
        self.locator.clone()
    }

    fn take_conversation(&self) -> Option<Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn wait(&self) -> io::Result<Exit> {
        self.until_reported().await?;
        if let Some(exit) = &self.state().exit {
            return Ok(exit.clone());
        }
        let exit = self.exit().await;
        let is_removed = remove(&self.engine, &self.id).await.is_ok();
        let mut state = self.state();
        state.is_removed = is_removed;
        state.exit = Some(exit.clone());
        Ok(exit)
    }

    fn stop(&self, grace: Duration) {
        self.state().plan.stop(grace);
        self.kill_planned.notify_one();
    }

    async fn freeze(&self) -> io::Result<()> {
        let mut is_frozen = self.is_frozen.lock().await;
        if !*is_frozen {
            let paused = self.engine.docker.pause_container(&self.id).await;
            paused.map_err(|error| io::Error::other(text(&error)))?;
            *is_frozen = true;
        }
        Ok(())
    }

    async fn thaw(&self) {
        let mut is_frozen = self.is_frozen.lock().await;
        if *is_frozen {
            // A container that has ended is not paused any more.
            drop(self.engine.docker.unpause_container(&self.id).await);
            *is_frozen = false;
        }
    }

    async fn settled(&self) {
        // What stays is removed by the next process that looks for what is left of attempts, and so is a
        // container that the engine did not remove: the folder is the trace of it.
        if self.state().is_removed {
            drop(self.kept.remove());
        }
    }

    fn memory_enforcement(&self) -> Option<MemoryEnforcement> {
        self.has_memory_limit.then_some(MemoryEnforcement::Cgroup)
    }

    async fn memory_exceeded(&self) -> MemoryExceeded {
        // The kernel kills in the container, and its exit says so.
        std::future::pending().await
    }
}
