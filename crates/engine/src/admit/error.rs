//! Errors of admission.

use errand_agent::workspace;
use errand_api::error_code::ErrorCode;
use errand_model::draft::DraftError;
use errand_model::run::IllegalTransition;
use thiserror::Error;

use crate::error::{
    AgentUnsupported, CodedError, FoldFailure, MemberError, NoRandomness, RunEnding,
    operation_error,
};
use crate::{agents, brief, catalog, dependencies, parcels, payload, policy};

operation_error! {
    /// Error: a run is not admitted.
    pub enum Error {
        /// The agent cannot be run by this version.
        Unsupported(AgentUnsupported),
        /// Coordinators are nested too deeply.
        NestedTooDeep(NestedTooDeep),
        /// An error of an agent that another one names.
        Member(MemberError),
        /// An agent is not registered.
        Agents(agents::Error),
        /// A skill or config is neither in the parcel nor in the catalog.
        Catalog(catalog::Error),
        /// A tier or a service is missing or unhealthy.
        Dependencies(dependencies::Error),
        /// A policy denies the run.
        Policy(policy::Error),
        /// The brief cannot be assembled.
        Brief(brief::Error),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
        /// The model refuses the command.
        Draft(DraftError),
        /// A decision does not fold: a bug.
        Fold(FoldFailure) from IllegalTransition,
        /// A workspace cannot be created.
        Workspace(workspace::Error),
        /// The system has no randomness to give.
        Randomness(NoRandomness),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Error: coordinators are nested too deeply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{agent} would be more than {limit} coordinators deep",
    limit = errand_model::coordination::DEPTH_LIMIT
)]
pub struct NestedTooDeep {
    /// The agent that was to run.
    pub agent: String,
}

impl CodedError for NestedTooDeep {
    fn code(&self) -> ErrorCode {
        ErrorCode::NestingTooDeep
    }
}
