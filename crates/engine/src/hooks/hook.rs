//! Documents of hooks.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reference::RequestField;

/// Definition of a hook as a user gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookDefinition {
    /// `name`, or `name@version`, of a registered agent.
    pub agent: String,
    /// Signature that requests must have.
    pub signature: Signature,
    /// Input of the runs: JSON with references in its strings; `None` for the request body.
    pub input: Option<Value>,
    /// Deduplication of repeated requests; `None` for the scheme's own, if it has one.
    pub dedupe: Option<Dedupe>,
    /// Filter of requests by event; `None` for all requests.
    pub events: Option<Events>,
    /// Labels of the runs; references are allowed.
    pub labels: BTreeMap<String, String>,
    /// Session of the runs; references are allowed.
    pub session_id: Option<String>,
    /// True if the hook takes requests.
    pub enabled: bool,
}

/// Signature of requests. The secret is stored separately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Scheme of the signature.
    pub scheme: Scheme,
    /// Header with the signature, lower case; for schemes that leave it open.
    pub header: Option<String>,
    /// Prefix before the signature in the header.
    pub prefix: Option<String>,
}

/// Signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HMAC-SHA256 over the body, in hex or base64, in a header of the sender's choice.
    HmacSha256,
    /// HMAC-SHA256 as GitHub sends it: `X-Hub-Signature-256: sha256=<hex>`.
    Github,
    /// Standard Webhooks: over id, timestamp and body.
    StandardWebhooks,
    /// The secret itself, in a header.
    Token,
}

/// Deduplication of repeated requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// Place of the dedupe key.
    pub key: RequestField,
    /// Time for which a second request with that key is a repetition, in milliseconds.
    pub window_ms: u64,
}

/// Filter of requests by event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Place of the event's name; `None` for the scheme's own.
    pub from: Option<RequestField>,
    /// Names of accepted events. With GitHub also `<event>.<action>`.
    pub any_of: Vec<String>,
}

/// A hook as stored. Key: its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisteredHook {
    /// Definition as the user gave it.
    #[serde(flatten)]
    pub definition: HookDefinition,
    /// The secret, sealed for the user's identity.
    pub sealed_secret: String,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// A hook as shown: without its secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookView {
    /// Name of the hook.
    pub name: String,
    /// Definition as the user gave it.
    #[serde(flatten)]
    pub definition: HookDefinition,
    /// Time of creation.
    pub created_at_ms: Timestamp,
    /// Time of the last change.
    pub updated_at_ms: Timestamp,
}

/// A secret. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(String);

impl HookSecret {
    /// Wraps a text as a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl RegisteredHook {
    pub(super) fn view(self, name: &str) -> HookView {
        HookView {
            name: name.to_owned(),
            definition: self.definition,
            created_at_ms: self.created_at,
            updated_at_ms: self.updated_at,
        }
    }
}

impl HookDefinition {
    /// Returns the deduplication: the given one, or the scheme's own.
    pub(super) fn dedupe(&self) -> Option<Dedupe> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        let by_header = |header: &str| {
            Some(Dedupe { key: RequestField::Header(header.to_owned()), window_ms: DAY_MS })
        };
        self.dedupe.clone().or_else(|| match self.signature.scheme {
            Scheme::Github => by_header("x-github-delivery"),
            Scheme::StandardWebhooks => by_header("webhook-id"),
            Scheme::HmacSha256 | Scheme::Token => None,
        })
    }
}
