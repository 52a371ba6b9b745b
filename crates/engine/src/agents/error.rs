//! Errors of registered agents.

use errand_agent::parcel;
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use thiserror::Error;

use crate::error::{CodedError, MemberError, NoRandomness, RunEnding, operation_error};
use crate::{agent_check, parcels};

operation_error! {
    /// Error: an agent cannot be registered, found or removed.
    pub enum Error {
        /// The agent is not registered, or otherwise than asked for.
        Problem(Box<AgentProblem>) from AgentProblem,
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A parcel is missing or damaged.
        Parcel(parcel::Error),
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// The agent cannot be run by this version.
        Check(agent_check::Error),
        /// An error of an agent that another one names.
        Member(MemberError),
        /// A skill or config is neither in a folder nor in the catalog.
        Catalog(crate::catalog::Error),
        /// A tier or a service does not exist.
        Dependencies(crate::dependencies::Error),
        /// The system has no randomness to give.
        Randomness(NoRandomness),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Error: an agent is not registered, or otherwise than asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AgentProblem {
    /// No such agent, or no such version of it.
    #[error("no agent {reference} is registered")]
    NotFound {
        /// `name`, or `name@version`.
        reference: String,
        /// Advice in words.
        hint: String,
    },
    /// The version is registered with other content.
    #[error("{name}@{version} is registered already, as parcel {registered}, and this is {given}")]
    Conflict {
        /// Name of the agent.
        name: String,
        /// The version.
        version: String,
        /// The parcel that is registered.
        registered: Digest,
        /// The parcel that was given.
        given: Digest,
    },
    /// The document of an agent cannot be read.
    #[error("what is kept of agent {key} cannot be read: {reason}")]
    Damaged {
        /// Key of the document.
        key: String,
        /// Reason in words.
        reason: String,
    },
}

impl AgentProblem {
    /// Returns advice, if there is any.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotFound { hint, .. } => Some(hint),
            Self::Conflict { .. } | Self::Damaged { .. } => None,
        }
    }
}

impl CodedError for AgentProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::AgentNotFound,
            Self::Conflict { .. } => ErrorCode::AgentConflict,
            Self::Damaged { .. } => ErrorCode::RegistryDamaged,
        }
    }
}
