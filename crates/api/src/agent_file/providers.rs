//! Providers of models that an agent reaches through errand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::is_secret_name;
use super::scalar::{HttpUrl, SecretName};

/// Providers of models that the agent reaches through errand's model gateway, by name. The gateway
/// adds their keys, which the agent never sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Providers {
    /// `OpenAI`, or a service that speaks its formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<Provider>,
    /// Anthropic, or a service that speaks its format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<Provider>,
    /// Google Gemini, or a service that speaks its format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google: Option<Provider>,
}

/// A provider of models: its key and its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name of the secret that is the provider's key: a variable of errand's environment, else a
    /// secret of its secret store.
    #[schemars(with = "SecretName", extend("examples" = ["OPENAI_API_KEY"]))]
    pub key: String,
    /// Address as SDKs take it in their own variable (`OPENAI_BASE_URL` ends in `/v1`). If left
    /// out: that variable of errand's environment, else the provider's public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub base_url: Option<String>,
}

impl Provider {
    /// Reports whether `key` could be the name of a secret, rather than a key.
    pub fn key_is_a_name(&self) -> bool {
        is_secret_name(&self.key)
    }
}

/// Name of a provider that the model gateway knows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// `OpenAI`.
    Openai,
    /// Anthropic.
    Anthropic,
    /// Google.
    Google,
}

impl ProviderName {
    /// All providers.
    pub const ALL: [Self; 3] = [Self::Openai, Self::Anthropic, Self::Google];

    /// Name in agent files, paths of the gateway, events and price tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
        }
    }

    /// Returns the provider of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Variable in which the provider's own SDK reads its address.
    pub const fn base_url_variable(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI_BASE_URL",
            Self::Anthropic => "ANTHROPIC_BASE_URL",
            Self::Google => "GOOGLE_GEMINI_BASE_URL",
        }
    }

    /// Variable in which the provider's own SDK reads its key.
    pub const fn key_variable(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI_API_KEY",
            Self::Anthropic => "ANTHROPIC_API_KEY",
            Self::Google => "GOOGLE_API_KEY",
        }
    }

    /// The provider's public address, as that variable would hold it.
    pub const fn public_base_url(self) -> &'static str {
        match self {
            Self::Openai => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Google => "https://generativelanguage.googleapis.com",
        }
    }
}

impl Providers {
    /// Returns true if no provider is configured.
    pub const fn is_empty(&self) -> bool {
        self.openai.is_none() && self.anthropic.is_none() && self.google.is_none()
    }

    /// Configured providers with their names.
    pub fn iter(&self) -> impl Iterator<Item = (ProviderName, &Provider)> {
        ProviderName::ALL.into_iter().filter_map(|name| Some((name, self.get(name)?)))
    }

    /// Returns a provider, if it is configured.
    pub const fn get(&self, name: ProviderName) -> Option<&Provider> {
        match name {
            ProviderName::Openai => self.openai.as_ref(),
            ProviderName::Anthropic => self.anthropic.as_ref(),
            ProviderName::Google => self.google.as_ref(),
        }
    }

    /// Configures a provider. Returns the one that it replaces.
    pub fn set(&mut self, name: ProviderName, provider: Provider) -> Option<Provider> {
        match name {
            ProviderName::Openai => self.openai.replace(provider),
            ProviderName::Anthropic => self.anthropic.replace(provider),
            ProviderName::Google => self.google.replace(provider),
        }
    }

    /// Returns true if a secret is the key of a provider.
    pub fn has_key(&self, secret: &str) -> bool {
        self.iter().any(|(_, provider)| provider.key == secret)
    }
}
