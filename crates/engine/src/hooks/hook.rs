//! A hook as a document.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reference::Place;

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `name`, or `name@version`, of a registered agent.
    pub agent: String,
    /// How requests are signed.
    pub signature: Signature,
    /// What the agent is given: JSON with references in its strings; `None`: the body.
    pub input: Option<Value>,
    /// What tells a repeated request from a new one; `None`: what the scheme has for it, if anything.
    pub dedupe: Option<Dedupe>,
    /// Which requests count; `None`: all.
    pub events: Option<Events>,
    /// Labels of the runs; references are allowed.
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to; references are allowed.
    pub session_id: Option<String>,
    /// Whether it takes requests.
    pub enabled: bool,
}

/// How requests are signed. The secret is kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Which scheme.
    pub scheme: Scheme,
    /// The header that has it, lower case; for schemes that leave it open.
    pub header: Option<String>,
    /// What the header begins with before the signature.
    pub prefix: Option<String>,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HMAC-SHA256 over the body, in hex or base64, in a header of one's own.
    HmacSha256,
    /// The same as GitHub sends it: `X-Hub-Signature-256: sha256=<hex>`.
    Github,
    /// Standard Webhooks: over id, timestamp and body.
    StandardWebhooks,
    /// The secret itself, in a header.
    Token,
}

/// What tells a repeated request from a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// Where its key is.
    pub key: Place,
    /// For how long a second request with that key is the same one.
    pub window_ms: u64,
}

/// Which requests count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Where the event's name is; `None`: where the scheme has it.
    pub from: Option<Place>,
    /// The names that count. With GitHub also `<event>.<action>`.
    pub any_of: Vec<String>,
}

/// A hook. Key: its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// What was asked for.
    #[serde(flatten)]
    pub definition: Definition,
    /// The secret, sealed for the user's identity.
    pub sealed_secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A hook as it is shown: without its secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// What it is called.
    pub name: String,
    /// What was asked for.
    #[serde(flatten)]
    pub definition: Definition,
    /// When it was made.
    pub created_at_ms: Timestamp,
    /// When it was changed last.
    pub updated_at_ms: Timestamp,
}

/// A secret: what it is, for the one who may see it once. Shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Hook {
    pub(super) fn view(self, name: &str) -> View {
        View {
            name: name.to_owned(),
            definition: self.definition,
            created_at_ms: self.created_at,
            updated_at_ms: self.updated_at,
        }
    }
}

impl Definition {
    /// What tells repeated requests apart, said or not.
    pub(super) fn dedupe(&self) -> Option<Dedupe> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        let by_header = |header: &str| {
            Some(Dedupe { key: Place::Header(header.to_owned()), window_ms: DAY_MS })
        };
        self.dedupe.clone().or_else(|| match self.signature.scheme {
            Scheme::Github => by_header("x-github-delivery"),
            Scheme::StandardWebhooks => by_header("webhook-id"),
            Scheme::HmacSha256 | Scheme::Token => None,
        })
    }
}
