//! Watching a running agent: sources of events, and the actions that follow from them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::agent_api::Backend;
use errand_agent::harness::{Ended, Harness};
use errand_agent::log;
use errand_agent::target::{Live, TaskNews};
use errand_model::error_code::ErrorCode;
use errand_model::event::{AttemptSetup, CancelCause};
use errand_model::failure::Failure;
use errand_model::run::{AdoptAttempt, AttemptUp, Cancel, Command, Effect, Status};

use super::backend::AttemptBackend;
use super::deadline::{self, Deadline};
use super::door::ServedDoor;
use super::event::{Action, AttemptEvent, AttemptWatch, DEFAULT_GRACE, Next, StoppedFor};
use super::prepare::Beginning;
use super::replay::Replayed;
use super::{SupervisorChannels, outcome, requests, task_news};
use crate::error::IoFailure;
use crate::journal::{Journal, JournalProblem};
use crate::{Engine, Error};

/// Longest wait for answers to the agent's last calls.
const LAST_ANSWERS: Duration = Duration::from_millis(250);
/// Longest time that a full disk may keep the agent's output from its log.
const LOG_MAY_MISS: Duration = Duration::from_secs(5);

/// A running agent, and everything that it works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningAttempt<'a> {
    pub(super) live: &'a dyn Live,
    pub(super) harness: &'a dyn Harness,
    /// Behind the agent API: the run's journal, in a strict replay too.
    pub(super) backend: &'a AttemptBackend,
    /// Set in a strict replay.
    pub(super) replayed: Option<&'a Replayed>,
    /// Way in which this process comes to supervise the agent.
    pub(super) beginning: &'a Beginning,
    /// Directories and documents that were made for the attempt.
    pub(super) setup: &'a AttemptSetup,
    /// Log of the agent's output.
    pub(super) log: &'a log::Writer,
    /// True if the agent lives on without this process.
    pub(super) outlives_supervisor: bool,
    /// Door to the agent's models and tools, if it has one.
    pub(super) door: Option<&'a ServedDoor>,
}

/// Result of watching an agent.
#[derive(Debug)]
pub(super) enum Watched {
    /// The agent has ended, stopped for that reason.
    Ended(Box<Ended>, StoppedFor),
    /// The agent lives on, for another process.
    Left,
}

/// Watches a running agent to its end. Returns the cause of stopping it.
///
/// # Errors
///
/// If the run belongs to another process, or cannot be recorded: the agent is killed then, unless it
/// outlives its supervisor.
pub(super) async fn watch(
    engine: &Engine,
    journal: &Journal,
    channels: &mut SupervisorChannels,
    attempt: RunningAttempt<'_>,
    served: Arc<dyn Backend>,
) -> Result<Watched, Error> {
    let can_leave = attempt.outlives_supervisor;
    let effects = match journal.record(&beginning(engine, journal, attempt), &[]) {
        Ok((decision, _)) => decision.effects,
        Err(error) => return give_up(attempt, error.into()).await,
    };
    let is_placed = journal.look(|run, _| run.spec.placement.is_some());
    let mut sources = Sources::new(engine, journal, channels, attempt, served);
    let mut watch = AttemptWatch::new();
    let mut first = Some(AttemptEvent::Told { effects, drain: None });
    loop {
        let event = match first.take() {
            Some(event) => event,
            None => sources.next(watch.is_stopping()).await,
        };
        if can_leave && is_placed && !watch.is_stopping() && event.is_shutdown() {
            return Ok(Watched::Left);
        }
        match watch.handle(event) {
            Next::Watch(actions) => {
                for action in actions {
                    sources.perform(action).await;
                }
            }
            Next::Over(ended, stopped_for) => return Ok(Watched::Ended(ended, stopped_for)),
            Next::GiveUp(error) => {
                drop(sources);
                return give_up_lost(attempt, error).await;
            }
            Next::Fail(error) => return Err(error),
        }
    }
}

/// Returns the command with which the supervision of an agent begins.
fn beginning(engine: &Engine, journal: &Journal, attempt: RunningAttempt<'_>) -> Command {
    match attempt.beginning {
        Beginning::Start(_) => AttemptUp {
            attempt: attempt.backend.attempt(),
            locator: Some(attempt.live.locator()),
            memory_enforced_by: attempt.live.memory_enforcement(),
            setup: Some(Box::new(attempt.setup.clone())),
        }
        .into(),
        Beginning::Adopt(..) => {
            let holder = engine.holder();
            AdoptAttempt {
                epoch: journal.epoch(),
                supervisor: holder.process.clone(),
                host: holder.host.clone(),
                worker: journal.worker().cloned(),
            }
            .into()
        }
    }
}

/// A future that is waited for over many events.
type Awaited<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sources of the events of one attempt.
struct Sources<'a> {
    engine: &'a Engine,
    journal: &'a Journal,
    channels: &'a mut SupervisorChannels,
    attempt: RunningAttempt<'a>,
    driven: Awaited<'a, std::io::Result<Ended>>,
    overrun: Awaited<'a, Failure>,
    full_disk: Awaited<'a, std::io::Error>,
    /// Signals can no longer come.
    is_deaf: bool,
    /// Number of questions whose answers the task of the attempt was told.
    settled: usize,
}

impl<'a> Sources<'a> {
    fn new(
        engine: &'a Engine,
        journal: &'a Journal,
        channels: &'a mut SupervisorChannels,
        attempt: RunningAttempt<'a>,
        served: Arc<dyn Backend>,
    ) -> Self {
        let driven = attempt.harness.drive(attempt.live, served);
        let overrun = Box::pin(overrun(attempt));
        let full_disk = Box::pin(attempt.log.stays_unwritten(LOG_MAY_MISS));
        let (is_deaf, settled) = (false, 0);
        Self { engine, journal, channels, attempt, driven, overrun, full_disk, is_deaf, settled }
    }

    /// Waits for the next event. Once the agent is being stopped, no deadline or limit counts.
    async fn next(&mut self, is_stopping: bool) -> AttemptEvent {
        let deadline = if is_stopping { None } else { self.next_deadline() };
        let is_task = self.attempt.live.is_task();
        tokio::select! {
            ended = &mut self.driven => match ended {
                Ok(ended) => AttemptEvent::Ended(Box::new(ended)),
                Err(error) => {
                    let path = self.engine.registry().run_log(self.journal.run_id());
                    AttemptEvent::WaitFailed(IoFailure::of("wait for the agent of", path)(error).into())
                }
            },
            source = self.journal.lost() => AttemptEvent::JournalLost(JournalProblem::Lost { source }.into()),
            failure = out_of_time(self.engine, deadline) => AttemptEvent::Failing(failure),
            () = self.attempt.backend.steps_changed() => AttemptEvent::StepsChanged,
            error = &mut self.full_disk, if !is_stopping => {
                AttemptEvent::Failing(outcome::of_unwritten_log(&error))
            }
            failure = &mut self.overrun, if !is_stopping => AttemptEvent::Overrun(failure),
            effects = self.attempt.backend.ordered() => AttemptEvent::Decided(effects),
            news = self.attempt.live.task_changed() => {
                match self.record(&news) {
                    Ok(effects) => AttemptEvent::Told { effects, drain: None },
                    Err(error) => AttemptEvent::JournalLost(error),
                }
            }
            settled = task_news::settled(self.journal, self.settled), if is_task => {
                let told = task_news::settle(self.engine, self.journal, self.attempt.live);
                self.settled = settled;
                told.map_or_else(AttemptEvent::JournalLost, |()| AttemptEvent::StepsChanged)
            }
            changed = self.channels.control.changed(), if !self.is_deaf => match changed {
                Ok(()) => self.told().await.unwrap_or_else(AttemptEvent::JournalLost),
                Err(_) => {
                    self.is_deaf = true;
                    AttemptEvent::Told { effects: Vec::new(), drain: Some(DEFAULT_GRACE) }
                }
            },
        }
    }

    /// Records the news of the task that carries the attempt out.
    fn record(&self, news: &TaskNews) -> Result<Vec<Effect>, Error> {
        let at = (self.attempt.backend.attempt(), self.engine.now());
        task_news::record(self.journal, at, news)
    }

    /// Answers requests, and decides about signals.
    async fn told(&mut self) -> Result<AttemptEvent, Error> {
        let orders = self.channels.control.borrow_and_update().clone();
        let mut effects = requests::answer(self.engine, self.journal).await?;
        // The second signal is for users who cannot wait.
        let grace = |count: u64| if count > 1 { Duration::ZERO } else { DEFAULT_GRACE };
        if orders.is_interrupted() {
            let grace = grace(orders.interrupts);
            let cancel = Cancel { cause: CancelCause::Interrupted, by: None, grace };
            effects.extend(self.journal.command(&cancel.into()).await?.effects);
        }
        let drain = orders.is_drained().then(|| grace(orders.drains));
        Ok(AttemptEvent::Told { effects, drain })
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Freeze => self.freeze().await,
            Action::Thaw => self.attempt.live.thaw().await,
            Action::AnnounceCancel(grace) => self.attempt.backend.announce_cancel(grace),
            Action::Stop(grace) => self.attempt.live.stop(grace),
            Action::ConfirmOrders => self.attempt.backend.orders_done(),
        }
    }

    /// Freezes the agent, and notes in its log if some of it cannot be frozen.
    async fn freeze(&mut self) {
        if let Err(error) = self.attempt.live.freeze().await {
            let path = self.engine.registry().run_log(self.journal.run_id());
            if let Ok(log) = log::Writer::open(&path) {
                log.system(&format!("not all of the run is paused: {error}"));
            }
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let now = self.engine.now();
        self.journal.look(|run, steps| {
            // The time of a paused run stands still.
            let is_paused = matches!(run.status, Status::Paused { .. });
            let limits = self.attempt.backend.step_limits();
            (!is_paused).then(|| deadline::next(run, steps, limits, now)).flatten()
        })
    }
}

/// Waits until the attempt has to end at once: it differs from its record, uses too much memory, or
/// lacks a tool server.
async fn overrun(attempt: RunningAttempt<'_>) -> Failure {
    let diverged = async {
        match attempt.replayed {
            Some(replayed) => replayed.diverged().await,
            None => std::future::pending().await,
        }
    };
    let without_tools = async {
        match attempt.door {
            Some(door) => door.failed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failure = diverged => failure,
        failure = without_tools => failure,
        exceeded = attempt.live.memory_exceeded() => outcome::of_memory(exceeded),
    }
}

/// Waits until the deadline has passed; for ever without one.
async fn out_of_time(engine: &Engine, deadline: Option<Deadline>) -> Failure {
    match deadline {
        Some(deadline) => {
            tokio::time::sleep(deadline.at.since(engine.now())).await;
            deadline.failure
        }
        None => std::future::pending().await,
    }
}

/// Gives up an attempt whose journal is lost to this process.
async fn give_up_lost(attempt: RunningAttempt<'_>, error: Error) -> Result<Watched, Error> {
    if error.code() == ErrorCode::DiskFull {
        // No other process continues the run: the agent may learn why its calls are refused.
        tokio::time::sleep(LAST_ANSWERS).await;
    }
    give_up(attempt, error).await
}

/// Kills the agent: the run belongs to another process now, or cannot be recorded. One that outlives
/// its supervisor may be the other process's by now, and is left to it.
async fn give_up(attempt: RunningAttempt<'_>, error: Error) -> Result<Watched, Error> {
    if !attempt.outlives_supervisor || error.code() == ErrorCode::DiskFull {
        attempt.live.stop(Duration::ZERO);
        drop(attempt.live.wait().await);
    }
    Err(error)
}
