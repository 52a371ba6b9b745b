//! Model routes: models and providers that the calls of agents go to, with fallbacks.

use errand_model::catalog::CatalogKind;
use errand_model::parse_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::agent_file::ProviderName;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar::{DurationWord, HttpUrl, SecretName};

/// Models and providers that the calls of agents go to, by the model that an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelRoute")]
pub struct ModelRouteDefinition {
    /// Entries of the route. The first that matches the model of a call, and leads to the provider
    /// that the agent calls, decides; a call without one goes where the agent sends it.
    #[schemars(length(min = 1, max = 64))]
    pub routes: Vec<RouteEntry>,
}

/// Way of the calls of some models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// Names of the models that agents ask for; a `*` stands for any characters.
    #[schemars(length(min = 1, max = 256), extend("examples" = ["gpt-*"]))]
    pub r#match: String,
    /// Model and provider that are called first.
    pub to: RouteTarget,
    /// Models and providers that are called when the one before gives no answer, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub fallback: Vec<RouteTarget>,
    /// Causes for which the next one is called: all if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub fallback_on: Vec<FallbackCause>,
    /// Time in which an answer has to begin: ten minutes if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationWord")]
    pub timeout: Option<String>,
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTarget {
    /// Provider, or the one whose formats the service at `base_url` speaks.
    pub provider: ProviderName,
    /// Name of the model: the one that the agent asks for if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,255}$"), extend("examples" = ["gpt-4o-mini"]))]
    pub model: Option<String>,
    /// Address as in `providers` of an agent file: that of the agent's provider if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub base_url: Option<String>,
    /// Name of the secret that is the key: that of the agent's provider if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretName")]
    pub key: Option<String>,
}

/// Cause for which the next model of an entry is called.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FallbackCause {
    /// The provider answers 429.
    RateLimit,
    /// The provider answers with a status from 500 on.
    ServerError,
    /// The answer does not begin in time.
    Timeout,
    /// The provider cannot be reached.
    Unreachable,
}

impl FallbackCause {
    /// All causes.
    pub const ALL: [Self; 4] =
        [Self::RateLimit, Self::ServerError, Self::Timeout, Self::Unreachable];

    /// Returns the word of manifests and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        }
    }
}

impl RouteEntry {
    /// Models and providers in the order in which they are called.
    pub fn targets(&self) -> impl Iterator<Item = &RouteTarget> {
        std::iter::once(&self.to).chain(&self.fallback)
    }

    /// Returns true if the next model is called for a cause.
    pub fn falls_back_on(&self, cause: FallbackCause) -> bool {
        self.fallback_on.is_empty() || self.fallback_on.contains(&cause)
    }
}

impl ModelRouteDefinition {
    /// Names of the secrets that the route needs besides those of its agent.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.routes.iter().flat_map(RouteEntry::targets).filter_map(|target| target.key.as_ref())
    }
}

impl Definition for ModelRouteDefinition {
    const KIND: CatalogKind = CatalogKind::ModelRoute;

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        let entries = spec.field("routes").map(|at| at.items()).unwrap_or_default();
        for (entry, at) in self.routes.iter().zip(&entries) {
            check_entry(reader, entry, at);
        }
    }
}

fn check_entry(reader: &mut Reader, entry: &RouteEntry, at: &At<'_>) {
    let fallbacks = at.field("fallback").map(|at| at.items()).unwrap_or_default();
    let places = at.field("to").into_iter().chain(fallbacks);
    for (target, place) in entry.targets().zip(places) {
        if target.provider != entry.to.provider {
            let (first, other) = (entry.to.provider.as_str(), target.provider.as_str());
            let message = format!(
                "{other} speaks another wire format than {first}: requests are never translated"
            );
            let hint = format!("name {first}, or a service that speaks its format with base_url");
            reader.report_hint(&place.field("provider").unwrap_or(place), message, hint);
        } else if target.base_url.is_some() && target.key.is_none() {
            let message = "an address of its own needs a key of its own";
            reader.report_hint(&place, message, "write key: SECRET, the name of a secret");
        } else if let (ProviderName::Google, Some(model), Some(at)) =
            (target.provider, &target.model, place.field("model"))
            && model.contains(['/', ':', '+'])
        {
            let message = "the name of a model of google stands in a path";
            reader.report_hint(&at, message, "write its name alone, such as gemini-3-pro");
        }
    }
    if let (Some(text), Some(at)) = (&entry.timeout, at.field("timeout"))
        && parse_duration(text).is_ok_and(|limit| limit.is_zero())
    {
        reader.report(&at, "a time limit is longer than nothing");
    }
    if entry.fallback.is_empty() && !entry.fallback_on.is_empty() {
        let message = "fallback_on needs a fallback";
        reader.report_hint(at, message, "add fallback: [...], or remove fallback_on");
    }
}
