//! Errors of making new runs from old ones.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::inherit::NotInheritable;
use errand_model::run::Rejection;
use thiserror::Error;

use crate::error::{CodedError, RunLive, operation_error};
use crate::launch::HelperFailed;
use crate::{
    agents, ask, brief, dependencies, launch, parcels, payload, reconcile, submission, submit,
    unheld,
};

operation_error! {
    /// Error: no new run can be made from the old one.
    pub enum Error {
        /// The run cannot be repeated in this way.
        NotRetryable(NotRetryable),
        /// Nothing can be inherited from the run.
        Inherit(NotInheritable),
        /// The run is live.
        Live(RunLive),
        /// The model refuses the command.
        Rejected(Rejection),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// An agent is not registered.
        Agents(agents::Error),
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
        /// A tier or a service is missing or unhealthy.
        Dependencies(dependencies::Error),
        /// The brief of the run is missing or damaged.
        Brief(brief::Error),
        /// The run does not take the decision.
        Unheld(unheld::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
        /// A command to a live run failed, or was not carried out in time.
        Asks(ask::Error),
        /// No helper process carries the run on.
        Launch(launch::Error),
        /// The helper process did not start the run.
        Helper(HelperFailed),
        /// The request to run is refused.
        Submission(submission::Error),
        /// The run cannot be stored.
        Submit(submit::Error),
    }
}

/// Error: the run cannot be repeated in this way.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("run {run_id} {reason}")]
pub struct NotRetryable {
    /// Id of the run.
    pub run_id: RunId,
    /// Reason, as a predicate of the run.
    pub reason: &'static str,
}

impl CodedError for NotRetryable {
    fn code(&self) -> ErrorCode {
        ErrorCode::RunNotRetryable
    }
}
