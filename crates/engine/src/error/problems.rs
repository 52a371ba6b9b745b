//! Errors that several areas give.

use std::path::PathBuf;

use errand_agent::agent_api::AgentApiBindError;
use errand_agent::target::TargetStartError;
use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::run::IllegalTransition;
use errand_store::BlobError;
use thiserror::Error;

use super::{CodedError, is_full_disk};

/// Error: the run, or the process that does the work, is ending.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the run is ending")]
pub struct RunEnding;

/// Error: a live agent cannot be adopted by this process. It is left as it is.
#[derive(Debug, Error)]
pub enum NotAdopted {
    /// The agent API cannot be served.
    #[error("the agent API of an agent that is to be adopted cannot be served")]
    Unserved(#[source] AgentApiBindError),
    /// The target cannot reach the agent.
    #[error("the agent cannot be adopted")]
    Target(#[source] TargetStartError),
}

impl CodedError for NotAdopted {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unserved(error) if is_full_disk(error) => ErrorCode::DiskFull,
            Self::Target(error) if is_full_disk(error) => ErrorCode::DiskFull,
            Self::Target(TargetStartError::Refused { code, .. }) => *code,
            Self::Unserved(_) | Self::Target(_) => ErrorCode::SpawnFailed,
        }
    }
}

/// Error: a blob cannot be stored or read.
#[derive(Debug, Error)]
#[error("a blob cannot be kept or read")]
pub struct BlobFailure(#[from] pub BlobError);

/// Error: a decision does not fold, which is a bug.
#[derive(Debug, Error)]
#[error("a decision does not fold; this is a bug")]
pub struct FoldFailure(#[from] pub IllegalTransition);

/// Error: a payload is malformed or too large.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the payload is refused: {reason}")]
pub struct PayloadRefused {
    /// Reason in words.
    pub reason: String,
}

/// Error: the agent cannot be run by this version.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("this agent cannot be run here: {what}")]
pub struct AgentUnsupported {
    /// The unsupported feature, in words.
    pub what: String,
}

impl AgentUnsupported {
    /// Returns the refusal of an agent that asks for those features.
    pub(crate) fn asking_for(features: &[String]) -> Self {
        Self { what: format!("it asks for {}", features.join(", ")) }
    }
}

/// Error: the run is live, which the operation forbids.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {run_id} is live")]
pub struct RunLive {
    /// Id of the run.
    pub run_id: RunId,
}

/// Error: a secret's value was given in a place that is recorded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the {place} contains the value of the secret {name}")]
pub struct SecretExposed {
    /// The place.
    pub place: &'static str,
    /// Name of the secret.
    pub name: String,
}

/// Error of an agent that another one names, as a member or for a handoff.
#[derive(Debug, Error)]
#[error("the agent {agent}, which this one names")]
pub struct MemberError {
    /// Reference in the agent file.
    pub agent: String,
    /// Cause.
    #[source]
    pub source: Box<crate::Error>,
}

impl MemberError {
    /// Wraps the error of the agent that is named by that reference.
    pub fn new(agent: &str, error: impl Into<crate::Error>) -> Self {
        Self { agent: agent.to_owned(), source: Box::new(error.into()) }
    }
}

/// Error: the system has no randomness to give.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the system gives no randomness: {reason}")]
pub struct NoRandomness {
    /// Message of the system.
    pub reason: String,
}

/// Error: a file or process operation failed.
#[derive(Debug, Error)]
#[error("cannot {doing} {path}", path = path.display())]
pub struct IoFailure {
    /// The operation, as a verb.
    pub doing: &'static str,
    /// Path of the file, or name of the object.
    pub path: PathBuf,
    /// Cause.
    #[source]
    pub source: std::io::Error,
}

impl IoFailure {
    /// Returns the conversion of an error of the system.
    pub(crate) fn of(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { doing, path, source }
    }
}

impl CodedError for RunEnding {
    fn code(&self) -> ErrorCode {
        ErrorCode::Fenced
    }
}

impl CodedError for BlobFailure {
    fn code(&self) -> ErrorCode {
        match &self.0 {
            BlobError::Shared(error) => error.as_ref().code(),
            _ if is_full_disk(self) => ErrorCode::DiskFull,
            BlobError::Missing { .. } | BlobError::Damaged { .. } | BlobError::File(_) => {
                ErrorCode::Internal
            }
        }
    }
}

impl CodedError for FoldFailure {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

impl CodedError for PayloadRefused {
    fn code(&self) -> ErrorCode {
        ErrorCode::PayloadUnreadable
    }
}

impl CodedError for AgentUnsupported {
    fn code(&self) -> ErrorCode {
        ErrorCode::AgentUnsupported
    }
}

impl CodedError for RunLive {
    fn code(&self) -> ErrorCode {
        ErrorCode::RunLive
    }
}

impl CodedError for SecretExposed {
    fn code(&self) -> ErrorCode {
        ErrorCode::SecretExposed
    }
}

impl CodedError for MemberError {
    fn code(&self) -> ErrorCode {
        self.source.code()
    }
}

impl CodedError for NoRandomness {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

impl CodedError for IoFailure {
    fn code(&self) -> ErrorCode {
        ErrorCode::of_io(&self.source)
    }
}
