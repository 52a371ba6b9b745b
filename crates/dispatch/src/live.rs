//! Task of an attempt while it lives: its log is followed, its end is mirrored, and it is cancelled on request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use async_trait::async_trait;
use errand_agent::target::{
    AgentOutput, Conversation, Exit, ExitUsage, Kept, Live, MemoryExceeded, OutputSink, Spooler,
    Stdout, TaskNews, TaskReport,
};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::task::{Task, TaskDecision, TaskStatus};
use errand_model::Locator;
use errand_model::event::{Failure, MemoryEnforcement, TaskChanged};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::by_bus::{BusWire, Untaken};
use crate::client::{DispatchError, DispatcherClient};
use crate::control::{HoldRequest, TaskControl};
use crate::evidence;
use crate::kept::KeptRoute;
use crate::mirror::LogMirror;
use crate::route::TaskRoute;
use crate::silence::Silence;

/// Pause before a log that does not answer is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// Time after which the task is looked at: its agent may ask something, and a connection may be dead.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time after which a task is looked at whose agent has not checked in.
const LOOK_SOON: Duration = Duration::from_millis(250);
/// Signal that stands for the end of a cancelled task.
const TERM: i32 = 15;

/// Follower of a task, with everything that it needs.
pub(crate) struct TaskFollower {
    pub(crate) client: DispatcherClient,
    pub(crate) route: TaskRoute,
    pub(crate) kept: KeptRoute,
    pub(crate) output: AgentOutput,
    /// The bus, for a task that was sent by one.
    pub(crate) wire: Option<BusWire>,
}

/// Task of an attempt.
pub(crate) struct LiveTask {
    route: TaskRoute,
    kept: KeptRoute,
    client: DispatcherClient,
    control: Arc<TaskControl>,
    ended: watch::Receiver<Option<Ended>>,
    /// Last news of the task, and whether they were handed on.
    changed: tokio::sync::Mutex<watch::Receiver<Option<TaskNews>>>,
    report: Mutex<Option<TaskReport>>,
    /// Owner of the follower: dropped with this, while the task lives on at its dispatcher.
    _follower: JoinSet<()>,
}

/// End of a task as its follower found it.
#[derive(Clone, Debug)]
enum Ended {
    Over {
        exit: Box<Exit>,
        report: Box<TaskReport>,
    },
    /// The dispatcher stayed silent: the task may live.
    Unknown {
        reason: String,
    },
}

impl fmt::Debug for LiveTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTask").field("route", &self.route).finish_non_exhaustive()
    }
}

impl TaskFollower {
    /// Follows the task with `sinks` for its log, which come after all that the log of the run has.
    pub(crate) fn follow(self, sinks: [OutputSink; 2]) -> LiveTask {
        let control = Arc::new(TaskControl::default());
        let (report, ended) = watch::channel(None);
        let (seen, changed) = watch::channel(None);
        let (route, kept, client) = (self.route.clone(), self.kept.clone(), self.client.clone());
        let mut follower = JoinSet::new();
        let wanted = Arc::clone(&control);
        follower.spawn(async move {
            let end = self.run(LogMirror::new(sinks), &wanted, &seen).await;
            report.send_replace(Some(end));
        });
        let changed = tokio::sync::Mutex::new(changed);
        LiveTask {
            route,
            kept,
            client,
            control,
            ended,
            changed,
            report: Mutex::default(),
            _follower: follower,
        }
    }

    /// Follows the task to its end.
    async fn run(
        self,
        mut mirror: LogMirror,
        control: &TaskControl,
        seen: &watch::Sender<Option<TaskNews>>,
    ) -> Ended {
        let began = Instant::now();
        let mut silence = Silence::default();
        let (mut is_cancelled, mut untold) = (false, BTreeSet::new());
        let mut untaken = self.wire.as_ref().map(|_| Untaken::new(self.client.limit()));
        loop {
            if control.is_cancelled() && !is_cancelled {
                is_cancelled = self.cancel().await;
            }
            let asked = self.look().await;
            let look_again = match asked {
                Ok(task) if task.status.is_terminal() => {
                    self.rest_of_log(&mut mirror).await;
                    return self.end(task, mirror, began.elapsed()).await;
                }
                Ok(task) => {
                    (silence, untaken) = (Silence::default(), None);
                    self.pause_or_resume(control, &task).await;
                    self.settle(&task, control, &mut untold).await;
                    let look_again = look_again(&task);
                    let found = Some(news_of(task));
                    seen.send_if_modified(|known| {
                        let is_new = *known != found;
                        *known = found;
                        is_new
                    });
                    look_again
                }
                Err(error) if error.is_not_found() => {
                    let (Some(wire), Some(waiting)) = (&self.wire, &mut untaken) else {
                        return self.lost(mirror, began).await;
                    };
                    silence = Silence::default();
                    if !is_cancelled && waiting.is_over() {
                        is_cancelled = self.cancel().await;
                    }
                    if let (Some(message), true) = (&self.route.message, waiting.is_late()) {
                        // An error is that of the next look, or passes.
                        drop(wire.send(message).await);
                    }
                    control.pause(waiting.pause(), is_cancelled).await;
                    continue;
                }
                Err(error) => {
                    if silence.is_over() {
                        return Ended::Unknown { reason: error.to_string() };
                    }
                    silence.pause(control, is_cancelled).await;
                    continue;
                }
            };
            self.follow_log(&mut mirror, look_again, (control, is_cancelled)).await;
        }
    }

    /// Cancels the task. Returns true once its dispatcher knows.
    pub(crate) async fn cancel(&self) -> bool {
        self.client.cancel(&self.route).await.is_ok()
    }

    /// Pauses or resumes the task. What fails is tried again after the next look.
    async fn pause_or_resume(&self, control: &TaskControl, task: &Task) {
        let Some(request) = control.next(task) else { return };
        let asked = match request {
            HoldRequest::Pause => self.client.pause(&self.route.task_id).await,
            HoldRequest::Resume => self.client.resume(&self.route.task_id).await,
        };
        match asked {
            Ok(_) => control.done(request),
            Err(error) => tracing::debug!(%error, "the task is not paused or resumed"),
        }
    }

    /// Sends the decisions and answers that the task waits for. What fails is tried again after the next
    /// look; the log says so once.
    async fn settle(&self, task: &Task, control: &TaskControl, untold: &mut BTreeSet<String>) {
        for decision in control.awaited(task) {
            let Err(error) = self.client.decide(&self.route.task_id, &decision).await else {
                continue;
            };
            if untold.insert(decision.decision_id) {
                let about = decision.approval_id.or(decision.input_id).unwrap_or_default();
                let line = format!("the answer to {about} has not reached the task: {error}");
                self.output.log.system(&line);
            }
        }
    }

    /// Looks at the task. One of an older order stands for none: the bus has this one still.
    pub(crate) async fn look(&self) -> Result<Task, DispatchError> {
        let task = self.client.task(&self.route.task_id).await?;
        if task.order < self.route.order() {
            return Err(self.client.untaken(&self.route.task_id));
        }
        Ok(task)
    }

    /// Follows the log until it ends, the connection breaks, it is time for another look, or the run wants
    /// something of the task.
    async fn follow_log(
        &self,
        mirror: &mut LogMirror,
        look_again: Duration,
        (control, is_cancelled): (&TaskControl, bool),
    ) {
        let (from, look_at) = (mirror.resume(), Instant::now() + look_again);
        let Ok(mut answer) = self.client.follow_log(&self.route.task_id, from).await else {
            sleep(AGAIN).await;
            return;
        };
        loop {
            tokio::select! {
                () = control.changed(), if !is_cancelled => return,
                piece = timeout_at(look_at, answer.chunk()) => match piece {
                    Ok(Ok(Some(piece))) => mirror.push(&piece).await,
                    Ok(Ok(None) | Err(_)) => {
                        // A dispatcher that ends every stream at once is not asked all the time.
                        sleep(Duration::from_millis(10)).await;
                        return;
                    }
                    Err(_) => return,
                },
            }
        }
    }

    /// Reads the log of a task that is over to its end.
    async fn rest_of_log(&self, mirror: &mut LogMirror) {
        let mut silence = Silence::default();
        loop {
            let from = mirror.resume();
            match self.read_log(mirror, from).await {
                Ok(()) => return,
                Err(error) if error.is_not_found() || silence.is_over() => return,
                Err(_) => silence.pause(&TaskControl::default(), true).await,
            }
        }
    }

    async fn read_log(&self, mirror: &mut LogMirror, from: u64) -> Result<(), DispatchError> {
        let mut answer = self.client.follow_log(&self.route.task_id, from).await?;
        while let Some(piece) = answer.chunk().await.map_err(|error| self.client.broken(&error))? {
            mirror.push(&piece).await;
        }
        Ok(())
    }

    /// Returns the end of a task that its dispatcher does not know any more.
    async fn lost(&self, mirror: LogMirror, began: Instant) -> Ended {
        let message = format!(
            "dispatcher {} has no task {} any more",
            self.route.dispatcher.dispatcher, self.route.task_id
        );
        let failure = Some(Failure::new(ErrorCode::DispatcherUnreachable, message));
        let exit = exit((None, None), mirror, Stdout::Memory(Vec::new()), began.elapsed()).await;
        let report = Box::new(TaskReport { failure, ..self.report() });
        Ended::Over { exit: Box::new(exit), report }
    }

    /// Returns the end of a task that is over.
    async fn end(&self, task: Task, mirror: LogMirror, wall: Duration) -> Ended {
        let wall = task
            .duration_seconds
            .and_then(|it| Duration::try_from_secs_f64(it).ok())
            .unwrap_or(wall);
        let (ended, failure, stdout) = match task.status {
            TaskStatus::Completed => match self.output(&task).await {
                Ok(stdout) => ((Some(task.exit_code.unwrap_or(0)), None), None, stdout),
                Err(error) => {
                    let message = format!("the output of the task cannot be fetched: {error}");
                    let failure = Failure::new(ErrorCode::DispatcherUnreachable, message);
                    ((task.exit_code, None), Some(failure), Stdout::Memory(Vec::new()))
                }
            },
            TaskStatus::Cancelled => {
                let message = format!(
                    "the task was cancelled at dispatcher {}",
                    self.route.dispatcher.dispatcher
                );
                let failure = Failure::new(ErrorCode::TaskCancelled, message);
                ((None, Some(TERM)), Some(failure), Stdout::Memory(Vec::new()))
            }
            TaskStatus::Failed
            | TaskStatus::TimedOut
            | TaskStatus::Queued
            | TaskStatus::Provisioning
            | TaskStatus::Running => {
                ((task.exit_code, None), Some(failure_of(&task)), Stdout::Memory(Vec::new()))
            }
        };
        let exit = exit(ended, mirror, stdout, wall).await;
        let mut report = TaskReport { failure, questions: task.questions, ..self.report() };
        let folder = &self.output.stdout.folder;
        match evidence::fetch(&self.client, &self.route.task_id, folder).await {
            Ok(fetched) => {
                report.journal = fetched.journal;
                report.artifacts = fetched.artifacts;
            }
            Err(error) if report.failure.is_none() => {
                let message = format!("the journal of the task cannot be fetched: {error}");
                report.failure = Some(Failure::new(ErrorCode::DispatcherUnreachable, message));
            }
            Err(_) => {}
        }
        Ended::Over { exit: Box::new(exit), report: Box::new(report) }
    }

    /// Returns a report that says nothing yet.
    fn report(&self) -> TaskReport {
        TaskReport {
            dispatcher: self.route.dispatcher.dispatcher.clone(),
            task_id: self.route.task_id.clone(),
            ..TaskReport::default()
        }
    }

    /// Fetches the output of a task, which stands for the agent's stdout.
    async fn output(&self, task: &Task) -> Result<Stdout, DispatchError> {
        let mut silence = Silence::default();
        loop {
            let error = match self.fetch_output(task).await {
                Err(error @ DispatchError::Unreachable { .. }) => error,
                other => return other,
            };
            if silence.is_over() {
                return Err(error);
            }
            silence.pause(&TaskControl::default(), true).await;
        }
    }

    async fn fetch_output(&self, task: &Task) -> Result<Stdout, DispatchError> {
        let mut kept = Spooler::new(self.output.stdout.clone());
        let Some(path) = &task.result_key else { return Ok(kept.finish()) };
        let mut answer = self.client.get(path).await?;
        let (mut redaction, mut clean) = (self.output.redactor.stream(), Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(|error| self.client.broken(&error))? {
            clean.clear();
            redaction.push(&piece, &mut clean);
            kept.push(&clean);
        }
        clean.clear();
        redaction.finish(&mut clean);
        kept.push(&clean);
        Ok(kept.finish())
    }
}

/// Returns the time after which a live task is looked at again.
const fn look_again(task: &Task) -> Duration {
    match task.status {
        TaskStatus::Queued | TaskStatus::Provisioning if task.waiting.is_none() => LOOK_SOON,
        TaskStatus::Queued
        | TaskStatus::Provisioning
        | TaskStatus::Running
        | TaskStatus::Completed
        | TaskStatus::Failed
        | TaskStatus::TimedOut
        | TaskStatus::Cancelled => LOOK_EVERY,
    }
}

/// Returns the news of a live task.
fn news_of(task: Task) -> TaskNews {
    let value = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let status = value(serde_json::to_value(task.status));
    let status = status.as_str().unwrap_or_default().to_owned();
    let ports = task.ports.iter().map(|port| value(serde_json::to_value(port))).collect();
    TaskNews { changed: TaskChanged { status, ports }, questions: task.questions }
}

/// Returns the failure of a task that failed or ran out of time, as its dispatcher recorded it.
fn failure_of(task: &Task) -> Failure {
    match &task.error {
        Some(error) => Failure {
            step: error.step.clone(),
            stderr_tail: error.stderr_tail.clone(),
            ..Failure::new(error.code.as_str(), error.message.clone())
        },
        None => Failure::new(ErrorCode::ExitNonzero, "the task failed".to_owned()),
    }
}

async fn exit(
    (code, signal): (Option<i32>, Option<i32>),
    mirror: LogMirror,
    stdout: Stdout,
    wall: Duration,
) -> Exit {
    let [_, stderr] = mirror.finish().await;
    let stderr_tail = match stderr.into_kept() {
        Kept::StderrTail(tail) => tail,
        Kept::Stdout(_) => None,
    };
    let usage = ExitUsage { wall, ..ExitUsage::default() };
    Exit { code, signal, usage, stdout, stderr_tail, stragglers: 0, oom_kills: 0, failure: None }
}

impl LiveTask {
    fn report(&self) -> MutexGuard<'_, Option<TaskReport>> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Live for LiveTask {
    fn locator(&self) -> Locator {
        self.route.locator()
    }

    fn take_conversation(&self) -> Option<Conversation> {
        None
    }

    async fn wait(&self) -> io::Result<Exit> {
        let mut ended = self.ended.clone();
        let found = ended.wait_for(Option::is_some).await.map_err(io::Error::other)?.clone();
        match found {
            Some(Ended::Over { exit, report }) => {
                *self.report() = Some(*report);
                Ok(*exit)
            }
            Some(Ended::Unknown { reason }) => Err(io::Error::new(io::ErrorKind::TimedOut, reason)),
            None => Err(io::Error::other("the follower of the task ended")),
        }
    }

    fn stop(&self, _grace: Duration) {
        // The dispatcher has a grace period of its own.
        self.control.cancel();
    }

    async fn freeze(&self) -> io::Result<()> {
        self.control.hold();
        match self.client.pause(&self.route.task_id).await {
            // The follower pauses a task that waits at a bus once it is taken.
            Err(error) if error.is_not_found() && self.route.message.is_some() => Ok(()),
            Err(error) => Err(io::Error::other(error)),
            Ok(_) => Ok(()),
        }
    }

    async fn thaw(&self) {
        self.control.release();
    }

    async fn settled(&self) {
        // What stays is removed by the next look at what is left of attempts.
        drop(self.kept.remove());
    }

    fn is_task(&self) -> bool {
        true
    }

    fn settle_questions(&self, decisions: Vec<TaskDecision>) {
        self.control.settle(decisions);
    }

    async fn task_changed(&self) -> TaskNews {
        let mut changed = self.changed.lock().await;
        loop {
            if changed.changed().await.is_err() {
                // The task is over.
                std::future::pending::<()>().await;
            }
            if let Some(state) = changed.borrow_and_update().clone() {
                return state;
            }
        }
    }

    fn task_report(&self) -> Option<TaskReport> {
        self.report().clone()
    }

    fn memory_enforcement(&self) -> Option<MemoryEnforcement> {
        None
    }

    async fn memory_exceeded(&self) -> MemoryExceeded {
        // The dispatcher's own limit acts, and its report says so.
        std::future::pending().await
    }
}
