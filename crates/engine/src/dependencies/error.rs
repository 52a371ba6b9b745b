//! Errors of dependencies.

use errand_api::error_code::ErrorCode;
use errand_model::catalog::CatalogKind;
use thiserror::Error;

use crate::error::{CodedError, SecretExposed, operation_error};
use crate::{catalog, equipment};

operation_error! {
    /// Error: a dependency of an agent cannot be used.
    pub enum Error {
        /// A tier or a service is missing or unhealthy.
        Problem(Box<DependencyProblem>) from DependencyProblem,
        /// A definition cannot be read.
        Catalog(catalog::Error),
        /// The agent cannot be equipped.
        Equipment(equipment::Error),
        /// A secret of a tier or of a service is missing.
        Secret(errand_agent::secret::Error),
        /// A secret's value was given in a place that is recorded.
        SecretExposed(SecretExposed),
    }
}

/// Error: a tier or a service is missing or unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DependencyProblem {
    /// The catalog has no such tier or service.
    #[error("{of} needs the {} {name:?}, which the catalog does not have", kind.path_word())]
    Missing {
        /// Agent or tier that names it.
        of: String,
        /// Tier or service.
        kind: CatalogKind,
        /// Name of the definition.
        name: String,
        /// Advice in words.
        hint: String,
    },
    /// A model route leads to a provider that the agent does not have.
    #[error(
        "the model route {route:?} leads calls of {pattern:?} to {provider}, and the agent {agent} \
         has {}",
        configured(providers)
    )]
    RouteMismatch {
        /// Agent that would use the route.
        agent: String,
        /// Name of the route.
        route: String,
        /// Models that the entry is for.
        pattern: String,
        /// Provider of the entry.
        provider: &'static str,
        /// Providers of the agent.
        providers: Vec<&'static str>,
    },
    /// The health check of a service failed.
    #[error("the service {name:?}, which {of} needs, is unhealthy: {answer}")]
    Unhealthy {
        /// Agent that needs it.
        of: String,
        /// Name of the service.
        name: String,
        /// Answer of the check.
        answer: String,
    },
}

impl DependencyProblem {
    /// Returns advice.
    pub fn hint(&self) -> &str {
        match self {
            Self::Missing { hint, .. } => hint,
            Self::RouteMismatch { .. } => {
                "requests are never translated: name a service that speaks the format of a provider \
                 of the agent with base_url, or add the provider to the agent's `providers`"
            }
            Self::Unhealthy { .. } => {
                "`errand get service NAME -o yaml` shows its health check; start the service, or \
                 mend the check"
            }
        }
    }
}

impl CodedError for DependencyProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::DependencyMissing,
            Self::RouteMismatch { .. } => ErrorCode::ModelRouteMismatch,
            Self::Unhealthy { .. } => ErrorCode::DependencyUnhealthy,
        }
    }
}

/// Returns the providers of an agent as a phrase.
fn configured(providers: &[&'static str]) -> String {
    if providers.is_empty() { "no providers".to_owned() } else { providers.join(", ") + " only" }
}
