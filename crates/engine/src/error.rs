//! What can go wrong in the engine.

use std::path::PathBuf;
use std::sync::Arc;

use errand_model::RunId;
use errand_model::run::{IllegalTransition, Rejection};
use thiserror::Error;

/// Why the engine could not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The registry.
    #[error(transparent)]
    Store(#[from] errand_store::Error),
    /// The blob store.
    #[error("a blob cannot be kept or read")]
    Blob(#[from] errand_store::BlobError),
    /// The model refuses the command.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A decision does not fold: a bug.
    #[error("a decision does not fold; this is a bug")]
    Fold(#[from] IllegalTransition),
    /// The journal takes nothing in any more: the run is ending.
    #[error("the run is ending")]
    Closed,
    /// The journal cannot be written any more by this process.
    #[error("the journal is lost to this process")]
    JournalLost {
        /// Why.
        #[source]
        source: Arc<Self>,
    },
    /// The lease is not known to be in force any more: nothing is written, and nothing of the run may
    /// live on here.
    #[error("the lease of run {run_id} is over: it was not renewed in time, or is somebody else's")]
    LeaseOver {
        /// Which run.
        run_id: RunId,
    },
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] errand_model::step::StepRefused),
    /// An event is refused.
    #[error(transparent)]
    Report(#[from] errand_model::event::NotReportable),
    /// A payload is not what it has to be.
    #[error("the payload is refused: {reason}")]
    Payload {
        /// What is wrong.
        reason: String,
    },
    /// The run cannot be done again in this way.
    #[error("run {run_id} {reason}")]
    NotRetryable {
        /// Which run.
        run_id: RunId,
        /// What it is, or how it ended.
        reason: &'static str,
    },
    /// Nothing can be taken over from a run.
    #[error(transparent)]
    Inherit(#[from] errand_model::inherit::NotInheritable),
    /// The run cannot be replayed strictly.
    #[error(transparent)]
    NotReplayable(#[from] errand_model::replay::NotReplayable),
    /// A live replay would have effects outside once more.
    #[error("run {run_id} had effects outside, which a live replay would have once more: {calls}")]
    ReplayEffects {
        /// Which run.
        run_id: RunId,
        /// The tool calls, in a line.
        calls: String,
    },
    /// The input does not match the agent's schema.
    #[error("the input does not match the agent's input_schema at {path}: {reason}")]
    InputSchema {
        /// A JSON pointer; empty for the whole input.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The user's price table has problems.
    #[error("{0}")]
    Prices(errand_api::agent_file::Problems),
    /// A schema in the agent file is none.
    #[error("the agent's {field} is not a JSON Schema: {reason}")]
    Schema {
        /// `input_schema` or `output_schema`.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The agent cannot be run by this version.
    #[error("this agent cannot be run here: {what}")]
    Unsupported {
        /// What is not supported.
        what: String,
    },
    /// The program does not exist.
    #[error("the agent's program {program:?} was not found in its parcel or on PATH")]
    CommandNotFound {
        /// As the agent file has it.
        program: String,
    },
    /// The program cannot be executed.
    #[error("the agent's program {program:?} cannot be executed: {reason}")]
    CommandNotExecutable {
        /// As the agent file has it.
        program: String,
        /// Why.
        reason: String,
    },
    /// A parcel is missing or damaged.
    #[error(transparent)]
    Parcel(#[from] errand_agent::parcel::Error),
    /// A secret is missing, or the secret store is.
    #[error(transparent)]
    Secret(#[from] errand_agent::secret::Error),
    /// The run waits for secrets that its next attempt needs.
    #[error("run {run_id} waits for {}", crate::supervise::spoken_secrets(names))]
    AwaitsSecrets {
        /// Which run.
        run_id: RunId,
        /// Their names.
        names: Vec<String>,
    },
    /// A secret's value was given where it would be recorded.
    #[error("the {place} contains the value of the secret {name}")]
    SecretExposed {
        /// Where it was given.
        place: &'static str,
        /// The secret.
        name: String,
    },
    /// A workspace cannot be made.
    #[error(transparent)]
    Workspace(#[from] errand_agent::workspace::Error),
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] crate::listener::Error),
    /// An agent that another one names, for its coordinator or to hand over to.
    #[error("the agent {agent}, which this one names")]
    Member {
        /// As the agent file names it.
        agent: String,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },
    /// Too many coordinators in each other.
    #[error(
        "{agent} would be more than {limit} coordinators deep",
        limit = errand_model::coordination::DEPTH_LIMIT
    )]
    NestedTooDeep {
        /// The agent that was to run.
        agent: String,
    },
    /// A registered agent.
    #[error(transparent)]
    Agents(Box<crate::agents::Error>),
    /// Something about the schedules of a server.
    #[error(transparent)]
    Schedules(#[from] crate::schedules::Error),
    /// Something about hooks.
    #[error(transparent)]
    Hooks(#[from] crate::hooks::Error),
    /// Something about reports and their receivers.
    #[error(transparent)]
    Outbox(#[from] crate::outbox::Error),
    /// A schedule is none.
    #[error(transparent)]
    Schedule(#[from] errand_model::schedule::Misunderstood),
    /// The helper did not begin.
    #[error("the helper of run {run_id} did not begin: {reason}")]
    Helper {
        /// Which run.
        run_id: RunId,
        /// What is known.
        reason: String,
    },
    /// Other processes use the registry, or may, and must not.
    #[error("another process uses {root}", root = root.display())]
    InUse {
        /// The registry's folder.
        root: PathBuf,
    },
    /// The run is live and must not be.
    #[error("run {run_id} is live")]
    Live {
        /// Which run.
        run_id: RunId,
    },
    /// The run cannot be woken.
    #[error("run {run_id} {reason}")]
    NotWoken {
        /// Which run.
        run_id: RunId,
        /// Why not.
        reason: &'static str,
    },
    /// The run coordinates no agents.
    #[error("run {run_id} coordinates no agents, and was not handed over")]
    NotCoordinated {
        /// Which run.
        run_id: RunId,
    },
    /// The run did not end in time.
    #[error("run {run_id} is still {status} after {waited_ms} ms")]
    StillLive {
        /// Which run.
        run_id: RunId,
        /// Its status.
        status: &'static str,
        /// How long was waited.
        waited_ms: u64,
    },
    /// A run that a coordinator started was removed.
    #[error("run {child}, which was the step {step:?} below run {run_id}, was removed")]
    ChildRemoved {
        /// The coordinator that was to be read with all of its runs.
        run_id: RunId,
        /// The key of the step.
        step: String,
        /// The run that is not there.
        child: RunId,
    },
    /// A run of another machine.
    #[error("run {run_id} is supervised on {host}, not on this machine")]
    Elsewhere {
        /// Which run.
        run_id: RunId,
        /// Where.
        host: String,
    },
    /// A question to a person cannot be answered like this.
    #[error(transparent)]
    Unanswerable(#[from] crate::people::Unanswerable),
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {reason}")]
    Randomness {
        /// What it says.
        reason: String,
    },
    /// A file or a process.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Everything that is wrong with a file that somebody wrote, where that is what it is about.
    pub fn file_problems(&self) -> Option<&[errand_api::agent_file::Problems]> {
        if let Self::Prices(problems) = self {
            return Some(std::slice::from_ref(problems));
        }
        if let Self::Parcel(errand_agent::parcel::Error::AgentFileInvalid { files }) = self {
            return Some(files);
        }
        if let Self::Member { source, .. } = self {
            return source.file_problems();
        }
        None
    }

    /// The same, about an agent that another one names.
    #[must_use]
    pub fn of_member(self, agent: &str) -> Self {
        Self::Member { agent: agent.to_owned(), source: Box::new(self) }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<crate::agents::Error> for Error {
    fn from(error: crate::agents::Error) -> Self {
        match error {
            crate::agents::Error::Engine(error) => error,
            error @ (crate::agents::Error::NotFound { .. }
            | crate::agents::Error::Conflict { .. }
            | crate::agents::Error::Damaged { .. }) => Self::Agents(Box::new(error)),
        }
    }
}
