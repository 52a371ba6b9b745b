//! Errors of questions to people.

use errand_model::run::Rejection;

use crate::error::{SecretExposed, operation_error};
use crate::reconcile;

operation_error! {
    /// Error: a question cannot be found or answered.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The run cannot be reconciled.
        Reconcile(reconcile::Error),
        /// The model refuses the answer.
        Rejected(Rejection),
        /// A secret's value was given in a place that is recorded.
        SecretExposed(SecretExposed),
    }
}
