//! Errors of the engine.
//!
//! Most areas have an error type of their own, `area::Error`, made by `operation_error!`: its
//! variants are the errors that an operation of the area can give. An error that says something is
//! a small type beside the code that finds it. [`enum@Error`] is the sum of those types, for a
//! caller that shows any of them to a person; the error of every area converts into it. Hooks,
//! schedules, export, coordination, supervision and views return it themselves: they call most
//! other areas.

mod areas;
pub mod code;
mod operation;
mod problems;

use errand_api::error_code::ErrorCode;
use errand_model::draft::DraftError;
use errand_model::run::{IllegalTransition, Rejection};
use thiserror::Error;

pub(crate) use self::code::is_full_disk;
pub use self::operation::CodedError;
pub(crate) use self::operation::{coded_by_variant, operation_error};
pub use self::problems::{
    AgentUnsupported, BlobFailure, FoldFailure, IoFailure, MemberError, NoRandomness, NotAdopted,
    PayloadRefused, RunEnding, RunLive, SecretExposed,
};
use crate::admit::NestedTooDeep;
use crate::again::NotRetryable;
use crate::agents::AgentProblem;
use crate::ask::AskProblem;
use crate::bom::InventoryProblem;
use crate::brief::{BriefDamaged, BriefTooLarge};
use crate::command_line::ProgramProblem;
use crate::export::ChildRemoved;
use crate::garbage::RegistryInUse;
use crate::journal::JournalProblem;
use crate::launch::HelperFailed;
use crate::prices::PriceTableInvalid;
use crate::replay::ReplayEffects;
use crate::schema::SchemaProblem;
use crate::view::NotCoordinated;

/// Any error of the engine, as a caller shows it to a person.
#[derive(Debug, Error)]
pub enum Error {
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] errand_store::Error),
    /// A blob cannot be stored or read.
    #[error(transparent)]
    Blob(#[from] BlobFailure),
    /// The model refuses the command.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A decision does not fold: a bug.
    #[error(transparent)]
    Fold(#[from] FoldFailure),
    /// The run is ending.
    #[error(transparent)]
    Ending(#[from] RunEnding),
    /// This process cannot write the journal any more.
    #[error(transparent)]
    Journal(#[from] JournalProblem),
    /// A step is refused.
    #[error(transparent)]
    Step(#[from] errand_model::step::StepRefused),
    /// An agent's event is refused.
    #[error(transparent)]
    Report(#[from] errand_model::event::NotReportable),
    /// A payload is malformed or too large.
    #[error(transparent)]
    Payload(#[from] PayloadRefused),
    /// The run cannot be repeated in this way.
    #[error(transparent)]
    NotRetryable(#[from] NotRetryable),
    /// Nothing can be inherited from a run.
    #[error(transparent)]
    Inherit(#[from] errand_model::inherit::NotInheritable),
    /// The run cannot be replayed strictly.
    #[error(transparent)]
    NotReplayable(#[from] errand_model::replay::NotReplayable),
    /// A live replay would repeat external side effects.
    #[error(transparent)]
    ReplayEffects(#[from] ReplayEffects),
    /// An inventory is missing or damaged.
    #[error(transparent)]
    Inventory(#[from] InventoryProblem),
    /// A schema is malformed, or the input does not match it.
    #[error(transparent)]
    Schema(#[from] SchemaProblem),
    /// The user's price table has problems.
    #[error(transparent)]
    Prices(#[from] PriceTableInvalid),
    /// The agent cannot be run by this version.
    #[error(transparent)]
    Unsupported(#[from] AgentUnsupported),
    /// The agent's program does not exist or cannot be executed.
    #[error(transparent)]
    Program(#[from] ProgramProblem),
    /// A live agent cannot be adopted.
    #[error(transparent)]
    NotAdopted(#[from] NotAdopted),
    /// A parcel is missing or damaged.
    #[error(transparent)]
    Parcel(#[from] errand_agent::parcel::Error),
    /// A secret is missing, or the secret store cannot be read.
    #[error(transparent)]
    Secret(#[from] errand_agent::secret::Error),
    /// A command to a live run failed, or was not carried out in time.
    #[error(transparent)]
    Ask(#[from] AskProblem),
    /// A secret's value was given in a place that is recorded.
    #[error(transparent)]
    SecretExposed(#[from] SecretExposed),
    /// A workspace cannot be created.
    #[error(transparent)]
    Workspace(#[from] errand_agent::workspace::Error),
    /// The door to the agent's model providers cannot be opened.
    #[error(transparent)]
    ModelDoor(#[from] errand_agent::model_door::ModelDoorError),
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] crate::listener::Error),
    /// An error of an agent that another one names, as a member or for a handoff.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// Coordinators are nested too deeply.
    #[error(transparent)]
    NestedTooDeep(#[from] NestedTooDeep),
    /// An error of registered agents.
    #[error(transparent)]
    Agents(#[from] Box<AgentProblem>),
    /// A schedule or a hook cannot be defined or found.
    #[error(transparent)]
    Definition(#[from] crate::named::Error),
    /// A definition of the catalog is refused or missing.
    #[error(transparent)]
    Catalog(#[from] Box<crate::catalog::CatalogProblem>),
    /// A tier or a service is missing or unhealthy.
    #[error(transparent)]
    Dependency(#[from] Box<crate::dependencies::DependencyProblem>),
    /// A policy denies it.
    #[error(transparent)]
    PolicyDenied(#[from] crate::policy::PolicyDenied),
    /// A policy's program is not valid.
    #[error(transparent)]
    PolicyInvalid(#[from] crate::policy::PolicyInvalid),
    /// A brief is too large.
    #[error(transparent)]
    BriefTooLarge(#[from] BriefTooLarge),
    /// A stored brief is damaged.
    #[error(transparent)]
    BriefDamaged(#[from] BriefDamaged),
    /// A request to a hook is refused.
    #[error(transparent)]
    Hooks(#[from] crate::hooks::Error),
    /// An error of reports and their receivers.
    #[error(transparent)]
    Outbox(#[from] crate::outbox::CallbackProblem),
    /// A task is refused or missing.
    #[error(transparent)]
    Task(#[from] crate::tasks::TaskProblem),
    /// A schedule is malformed.
    #[error(transparent)]
    Schedule(#[from] errand_model::schedule::InvalidSchedule),
    /// The helper process did not start the run.
    #[error(transparent)]
    Helper(#[from] HelperFailed),
    /// Other processes use the registry, or may, which the operation forbids.
    #[error(transparent)]
    InUse(#[from] RegistryInUse),
    /// The run is live, which the operation forbids.
    #[error(transparent)]
    Live(#[from] RunLive),
    /// The run coordinates no agents.
    #[error(transparent)]
    NotCoordinated(#[from] NotCoordinated),
    /// A run that a coordinator started was removed.
    #[error(transparent)]
    ChildRemoved(#[from] ChildRemoved),
    /// The system has no randomness to give.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A file or process operation failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        CodedError::code(self)
    }

    /// Returns all problems of a file that a user wrote, if the error is about such a file.
    pub fn file_problems(&self) -> Option<&[errand_api::agent_file::Problems]> {
        if let Self::Prices(PriceTableInvalid(problems)) = self {
            return Some(std::slice::from_ref(problems));
        }
        if let Self::Parcel(errand_agent::parcel::Error::AgentFileInvalid { files }) = self {
            return Some(files);
        }
        if let Self::Member(member) = self {
            return member.source.file_problems();
        }
        if let Self::Catalog(problem) = self {
            return problem.file_problems();
        }
        None
    }
}

impl From<errand_store::BlobError> for Error {
    fn from(error: errand_store::BlobError) -> Self {
        Self::Blob(error.into())
    }
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::Fold(error.into())
    }
}

impl From<DraftError> for Error {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Rejected(rejection) => Self::Rejected(rejection),
            DraftError::Illegal(illegal) => Self::Fold(illegal.into()),
        }
    }
}

impl From<AgentProblem> for Error {
    fn from(error: AgentProblem) -> Self {
        Self::Agents(Box::new(error))
    }
}

impl From<crate::dependencies::DependencyProblem> for Error {
    fn from(error: crate::dependencies::DependencyProblem) -> Self {
        Self::Dependency(Box::new(error))
    }
}

impl From<crate::catalog::CatalogProblem> for Error {
    fn from(error: crate::catalog::CatalogProblem) -> Self {
        Self::Catalog(Box::new(error))
    }
}

coded_by_variant!(
    Error:
    Store,
    Blob,
    Rejected,
    Fold,
    Ending,
    Journal,
    Step,
    Report,
    Payload,
    NotRetryable,
    Inherit,
    NotReplayable,
    ReplayEffects,
    Inventory,
    Schema,
    Prices,
    Unsupported,
    Program,
    NotAdopted,
    Parcel,
    Secret,
    Ask,
    SecretExposed,
    Workspace,
    ModelDoor,
    Listener,
    Member,
    NestedTooDeep,
    Agents,
    Definition,
    Catalog,
    Dependency,
    PolicyDenied,
    PolicyInvalid,
    BriefTooLarge,
    BriefDamaged,
    Hooks,
    Outbox,
    Task,
    Schedule,
    Helper,
    InUse,
    Live,
    NotCoordinated,
    ChildRemoved,
    Randomness,
    Io,
);
