//! Traits of targets, through which the engine reaches the place where an agent lives.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_file::TargetKind;
use errand_api::gateway::task::{TaskDecision, TaskQuestions};
use errand_model::event::{Failure, MemoryEnforcement, PinnedImage, TaskChanged};
use errand_model::{Digest, Locator, ProcessIdentity, RunId};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{AgentOutput, Exit, LaunchSpec, StartWaits, TargetStartError};

/// Kind of place where agents live, such as processes of this machine.
///
/// Every call is idempotent by run and attempt: repeated, it has no further effect.
///
/// An agent that is a process ends with its supervisor. One that outlives it, in a container, is
/// adopted by the next holder of the lease ([`Target::adopt`]), or ended by it ([`Target::end`]).
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// Returns the name that agent files and journals use, such as `process`.
    fn name(&self) -> &'static str;

    /// Returns whether agents see the programs and files of this machine under the same paths. If
    /// not, the agent file's command is passed on as it is written, and found by the target.
    fn sees_this_machine(&self) -> bool {
        true
    }

    /// Checks, before a run exists, that its agent can live in `place`: what it needs is there, or is
    /// fetched.
    ///
    /// # Errors
    ///
    /// [`TargetStartError::Refused`].
    async fn check(&self, _place: &TargetKind) -> Result<(), TargetStartError> {
        Ok(())
    }

    /// Resolves the image of a place, which is fetched if need be; tells `waits` so. All attempts of a run use
    /// the image that its first one has resolved. `None`: agents of this target are made from no image, or
    /// another program resolves it.
    ///
    /// # Errors
    ///
    /// [`TargetStartError::Refused`].
    async fn resolve_image(
        &self,
        _place: &TargetKind,
        _waits: &StartWaits,
    ) -> Result<Option<PinnedImage>, TargetStartError> {
        Ok(None)
    }

    /// Starts the agent of an attempt; returns once its program runs. Its output goes to `output`
    /// until it ends. Never starts a second agent for an attempt whose agent lives.
    ///
    /// Has to be called on a thread that lives as long as the attempt, within a tokio runtime with
    /// I/O and time: a target may tie the agent to the calling thread.
    ///
    /// # Errors
    ///
    /// [`TargetStartError`]; nothing of the attempt lives then, unless it is
    /// [`TargetStartError::AlreadyStarted`].
    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError>;

    /// Returns true if agents of this target outlive their supervisors, and can be adopted.
    fn outlives_supervisor(&self) -> bool {
        false
    }

    /// Returns true if this machine has everything that the adoption of an agent needs. Asks no
    /// other process.
    fn can_adopt(&self, _agent: &OrphanedAgent) -> bool {
        false
    }

    /// Takes over an agent whose supervisor is gone, whether it still lives or has ended since. Its
    /// output goes to `output` from where the supervisor before left off: the log gets no line twice,
    /// and lacks none. To be called by the holder of the run's lease.
    ///
    /// # Errors
    ///
    /// [`TargetStartError`]; the agent is then as before, and may be adopted later.
    async fn adopt(
        &self,
        agent: &OrphanedAgent,
        _output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        Err(io::Error::other(format!("a {} has no agents to adopt", agent.locator.target)).into())
    }

    /// Lists the attempts of which something may be left on this machine, live ones included. Asks
    /// no other process, and costs little where nothing is left.
    fn kept(&self) -> Vec<(RunId, u32)> {
        Vec::new()
    }

    /// Ends and removes everything of one attempt that is not live any more.
    ///
    /// # Errors
    ///
    /// If something is left; it is found by [`Target::kept`] again.
    async fn forget(&self, _run_id: &RunId, _attempt: u32) -> io::Result<()> {
        Ok(())
    }

    /// Ends and removes what no later attempt of the run needs of an attempt that is not live any more:
    /// everything, unless the target says otherwise.
    ///
    /// # Errors
    ///
    /// As [`Target::forget`].
    async fn forget_for(&self, run_id: &RunId, attempt: u32, _run: RunState) -> io::Result<()> {
        self.forget(run_id, attempt).await
    }

    /// Ends everything of a run that lives in this target, and returns the number of processes,
    /// containers or pods. To be called after the supervisor's death by the holder of the run's
    /// lease. `known` are the locators that the run's record has.
    ///
    /// Asks to end first; kills after `grace`.
    ///
    /// # Errors
    ///
    /// If a process, container or pod still lives afterwards.
    async fn end(&self, run_id: &RunId, known: &[Locator], grace: Duration) -> io::Result<usize>;

    /// Returns true if no process of a run that `supervisor` supervises executes anything: all are
    /// frozen, or none lives.
    ///
    /// # Errors
    ///
    /// If that cannot be known.
    async fn is_frozen(&self, run_id: &RunId, supervisor: &ProcessIdentity) -> io::Result<bool>;
}

/// News of a dispatcher about a task that lives.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskNews {
    /// State of the task.
    pub changed: TaskChanged,
    /// Questions of its agent to people, open and settled.
    pub questions: TaskQuestions,
}

/// Report of a dispatcher about a task that is over.
#[derive(Clone, Debug, Default)]
pub struct TaskReport {
    /// Name of the dispatcher in the catalog.
    pub dispatcher: String,
    /// Id of the task.
    pub task_id: String,
    /// Questions of its agent to people.
    pub questions: TaskQuestions,
    /// Failure of the task; `None` if it completed.
    pub failure: Option<Failure>,
    /// File with the journal of the task's run, as lines of JSON; `None` if it cannot be had.
    pub journal: Option<PathBuf>,
    /// Files of its artifacts, each with the digest in that journal.
    pub artifacts: Vec<(Digest, PathBuf)>,
}

/// State of the run whose attempt is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// The run has, or may have, another attempt.
    Live,
    /// The run is over, or does not exist any more.
    Over,
}

/// Agent whose supervisor is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct OrphanedAgent {
    /// Id of the run.
    pub run_id: RunId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Place of the agent, as the journal has it.
    pub locator: Locator,
    /// True if the agent was started with a limit of memory.
    pub has_memory_limit: bool,
}

/// Agent of one attempt, as it lives in its target. Dropping it kills the agent, unless the target
/// lets agents outlive their supervisor.
#[async_trait]
pub trait Live: Debug + Send + Sync {
    /// Returns where the agent lives, for the journal.
    fn locator(&self) -> Locator;

    /// Takes the agent's stdin and stdout, where it was started with [`Streams::Conversation`].
    /// `None` otherwise, and from the second call on.
    ///
    /// [`Streams::Conversation`]: super::Streams::Conversation
    fn take_conversation(&self) -> Option<Conversation>;

    /// Waits until the attempt is over: the agent and everything that it left behind has ended, and
    /// all of its output was forwarded.
    ///
    /// May be cancelled and called again; after the end it returns the same exit.
    ///
    /// # Errors
    ///
    /// `TimedOut` if a process outlives SIGKILL; the attempt is not over then.
    async fn wait(&self) -> io::Result<Exit>;

    /// Begins to end the attempt: asks all its processes to end, and kills those that live after
    /// `grace`, or at once if `grace` is zero. [`Live::wait`] performs it. Of several calls, the
    /// earliest time to kill counts.
    fn stop(&self, grace: Duration);

    /// Freezes everything of the attempt. Once this returns, none of it executes until
    /// [`Live::thaw`] or [`Live::stop`].
    ///
    /// # Errors
    ///
    /// If something cannot be frozen; the rest is.
    async fn freeze(&self) -> io::Result<()>;

    /// Continues everything that was frozen.
    async fn thaw(&self);

    /// Removes what the target keeps for an adoption. To be called once the end of the attempt is
    /// recorded.
    async fn settled(&self) {}

    /// Returns true if a task at a dispatcher carries the attempt out.
    fn is_task(&self) -> bool {
        false
    }

    /// Waits until the task at a dispatcher has another state, or other questions; forever in other
    /// targets. May be cancelled and called again.
    async fn task_changed(&self) -> TaskNews {
        std::future::pending().await
    }

    /// Tells the task at a dispatcher how its agent's questions are settled: all that the run has settled
    /// so far. They reach a task that waits for them, also after a restart of its dispatcher.
    fn settle_questions(&self, _decisions: Vec<TaskDecision>) {}

    /// Returns the report of another supervisor about an attempt that is over: that of its task at a
    /// dispatcher. `None` if this process supervised the agent itself.
    fn task_report(&self) -> Option<TaskReport> {
        None
    }

    /// Returns how the limit of [`LaunchSpec::memory_limit_bytes`] is enforced; `None` without a
    /// limit.
    fn memory_enforcement(&self) -> Option<MemoryEnforcement>;

    /// Waits until the attempt uses more memory than its limit; forever without a limit, or if the
    /// target itself kills an attempt that exceeds it.
    async fn memory_exceeded(&self) -> MemoryExceeded;
}

/// Use of more memory than an attempt may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryExceeded {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes allowed.
    pub limit_bytes: u64,
}

/// Both ends of a protocol on the agent's stdin and stdout. Bytes are the agent's: secrets in them
/// are not masked yet.
pub struct Conversation {
    /// The agent's stdin. Dropping it is the end of input.
    pub to_agent: Box<dyn AsyncWrite + Send + Unpin>,
    /// The agent's stdout.
    pub from_agent: Box<dyn AsyncRead + Send + Unpin>,
}

impl Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}
