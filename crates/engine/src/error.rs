//! Errors of the engine.

pub mod code;

use std::path::PathBuf;
use std::sync::Arc;

use errand_model::RunId;
use errand_model::run::{IllegalTransition, Rejection};
use thiserror::Error;

pub(crate) use self::code::is_full_disk;

/// Error of an operation of the engine.
#[derive(Debug, Error)]
pub enum Error {
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] errand_store::Error),
    /// A blob cannot be stored or read.
    #[error("a blob cannot be kept or read")]
    Blob(#[from] errand_store::BlobError),
    /// The model refuses the command.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A decision does not fold: a bug.
    #[error("a decision does not fold; this is a bug")]
    Fold(#[from] IllegalTransition),
    /// The journal is closed: the run is ending.
    #[error("the run is ending")]
    Closed,
    /// Loss of the journal: this process cannot write it any more.
    #[error("the journal is lost to this process")]
    JournalLost {
        /// Cause.
        #[source]
        source: Arc<Self>,
    },
    /// The lease has expired or was taken over: nothing is written, and no process of the run may
    /// go on here.
    #[error("the lease of run {run_id} is over: it was not renewed in time, or is somebody else's")]
    LeaseOver {
        /// Id of the run.
        run_id: RunId,
    },
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] errand_model::step::StepRefused),
    /// An agent's event is refused.
    #[error(transparent)]
    Report(#[from] errand_model::event::NotReportable),
    /// A payload is malformed or too large.
    #[error("the payload is refused: {reason}")]
    Payload {
        /// Reason in words.
        reason: String,
    },
    /// The run cannot be repeated in this way.
    #[error("run {run_id} {reason}")]
    NotRetryable {
        /// Id of the run.
        run_id: RunId,
        /// Reason, as a predicate of the run.
        reason: &'static str,
    },
    /// Nothing can be inherited from a run.
    #[error(transparent)]
    Inherit(#[from] errand_model::inherit::NotInheritable),
    /// The run cannot be replayed strictly.
    #[error(transparent)]
    NotReplayable(#[from] errand_model::replay::NotReplayable),
    /// A live replay would repeat external side effects.
    #[error("run {run_id} had effects outside, which a live replay would have once more: {calls}")]
    ReplayEffects {
        /// Id of the run.
        run_id: RunId,
        /// The tool calls, in a line.
        calls: String,
    },
    /// The input does not match the agent's schema.
    #[error("the input does not match the agent's input_schema at {path}: {reason}")]
    InputSchema {
        /// A JSON pointer; empty for the whole input.
        path: String,
        /// Reason in words.
        reason: String,
    },
    /// The user's price table has problems.
    #[error("{0}")]
    Prices(errand_api::agent_file::Problems),
    /// A schema in the agent file is malformed.
    #[error("the agent's {field} is not a JSON Schema: {reason}")]
    Schema {
        /// `input_schema` or `output_schema`.
        field: &'static str,
        /// Reason in words.
        reason: String,
    },
    /// The agent cannot be run by this version.
    #[error("this agent cannot be run here: {what}")]
    Unsupported {
        /// The unsupported feature, in words.
        what: String,
    },
    /// The program does not exist.
    #[error("the agent's program {program:?} was not found in its parcel or on PATH")]
    CommandNotFound {
        /// Program as the agent file names it.
        program: String,
    },
    /// The program cannot be executed.
    #[error("the agent's program {program:?} cannot be executed: {reason}")]
    CommandNotExecutable {
        /// Program as the agent file names it.
        program: String,
        /// Reason in words.
        reason: String,
    },
    /// A parcel is missing or damaged.
    #[error(transparent)]
    Parcel(#[from] errand_agent::parcel::Error),
    /// A secret is missing, or the secret store cannot be read.
    #[error(transparent)]
    Secret(#[from] errand_agent::secret::Error),
    /// The run waits for secrets that its next attempt needs.
    #[error("run {run_id} waits for {}", crate::supervise::spoken_secrets(names))]
    AwaitsSecrets {
        /// Id of the run.
        run_id: RunId,
        /// Names of the secrets.
        names: Vec<String>,
    },
    /// A secret's value was given in a place that is recorded.
    #[error("the {place} contains the value of the secret {name}")]
    SecretExposed {
        /// The place.
        place: &'static str,
        /// Name of the secret.
        name: String,
    },
    /// A workspace cannot be created.
    #[error(transparent)]
    Workspace(#[from] errand_agent::workspace::Error),
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] crate::listener::Error),
    /// An error of an agent that another one names, as a member or for a handoff.
    #[error("the agent {agent}, which this one names")]
    Member {
        /// Reference in the agent file.
        agent: String,
        /// Cause.
        #[source]
        source: Box<Self>,
    },
    /// Coordinators are nested too deeply.
    #[error(
        "{agent} would be more than {limit} coordinators deep",
        limit = errand_model::coordination::DEPTH_LIMIT
    )]
    NestedTooDeep {
        /// The agent that was to run.
        agent: String,
    },
    /// An error of registered agents.
    #[error(transparent)]
    Agents(Box<crate::agents::Error>),
    /// An error of the schedules of a server.
    #[error(transparent)]
    Schedules(#[from] crate::schedules::Error),
    /// An error of hooks.
    #[error(transparent)]
    Hooks(#[from] crate::hooks::Error),
    /// An error of reports and their receivers.
    #[error(transparent)]
    Outbox(#[from] crate::outbox::Error),
    /// A schedule is malformed.
    #[error(transparent)]
    Schedule(#[from] errand_model::schedule::InvalidSchedule),
    /// The helper process did not start the run.
    #[error("the helper of run {run_id} did not begin: {reason}")]
    Helper {
        /// Id of the run.
        run_id: RunId,
        /// Reason in words.
        reason: String,
    },
    /// Other processes use the registry, or may, which the operation forbids.
    #[error("another process uses {root}", root = root.display())]
    InUse {
        /// Folder of the registry.
        root: PathBuf,
    },
    /// The run is live, which the operation forbids.
    #[error("run {run_id} is live")]
    Live {
        /// Id of the run.
        run_id: RunId,
    },
    /// The run coordinates no agents.
    #[error("run {run_id} coordinates no agents, and was not handed over")]
    NotCoordinated {
        /// Id of the run.
        run_id: RunId,
    },
    /// The run did not end in time.
    #[error("run {run_id} is still {status} after {waited_ms} ms")]
    StillLive {
        /// Id of the run.
        run_id: RunId,
        /// Status of the run.
        status: &'static str,
        /// Time waited, in milliseconds.
        waited_ms: u64,
    },
    /// A run that a coordinator started was removed.
    #[error("run {child}, which was the step {step:?} below run {run_id}, was removed")]
    ChildRemoved {
        /// The coordinator to be read with all its descendants.
        run_id: RunId,
        /// Key of the step.
        step: String,
        /// The removed run.
        child: RunId,
    },
    /// The run is supervised on another machine.
    #[error("run {run_id} is supervised on {host}, not on this machine")]
    Elsewhere {
        /// Id of the run.
        run_id: RunId,
        /// Name of that machine.
        host: String,
    },
    /// The system has no randomness to give.
    #[error("the system gives no randomness: {reason}")]
    Randomness {
        /// Message of the system.
        reason: String,
    },
    /// A file or process operation failed.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// Path of the file, or name of the object.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Returns the refusal of an agent that asks for that.
    pub(crate) fn asking_for(what: &[String]) -> Self {
        Self::Unsupported { what: format!("it asks for {}", what.join(", ")) }
    }

    /// Returns all problems of a file that a user wrote, if the error is about such a file.
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

    /// Wraps the error as one of an agent that another one names.
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
