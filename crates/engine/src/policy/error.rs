//! Errors of policies.

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::{CodedError, operation_error};
use crate::schema::SchemaProblem;
use crate::{catalog, payload};

/// Name of the rules of an agent file.
pub(super) const OWN_RULES: &str = errand_policy::Policy::OF_AGENT_FILE;

operation_error! {
    /// Error: a policy denies, or cannot decide.
    pub enum Error {
        /// A policy denies the call.
        Denied(PolicyDenied),
        /// A policy's program is not valid.
        Invalid(PolicyInvalid),
        /// The payload that a policy changed does not match the agent's schema.
        Schema(SchemaProblem),
        /// A definition cannot be read.
        Catalog(catalog::Error),
        /// A payload cannot be stored.
        Payload(payload::Error),
    }
}

/// Error: a policy denies a call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the policy {policy} denies it: {reason}")]
pub struct PolicyDenied {
    /// Name of the policy, with its version if it has one.
    pub policy: String,
    /// Reason, for people.
    pub reason: String,
}

impl CodedError for PolicyDenied {
    fn code(&self) -> ErrorCode {
        ErrorCode::PolicyDenied
    }
}

/// Error: a policy's program is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the policy {policy} cannot be used: {reason}")]
pub struct PolicyInvalid {
    /// Name of the policy.
    pub policy: String,
    /// Reason, for people.
    pub reason: String,
}

impl PolicyInvalid {
    /// Returns true for the rules of the agent file, which are no policy of the catalog.
    pub fn is_of_agent_file(&self) -> bool {
        self.policy == OWN_RULES
    }
}

impl CodedError for PolicyInvalid {
    fn code(&self) -> ErrorCode {
        ErrorCode::PolicyInvalid
    }
}
