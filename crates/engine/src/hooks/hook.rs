//! Documents of hooks.

use std::collections::BTreeMap;

use errand_api::gateway::hook::{
    Hook, HookDedupe, HookEvents, HookPlace, HookRequest, HookScheme, HookSignature,
};
use errand_model::{Timestamp, parse_duration};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reference::RequestField;
use crate::named::{Definition, DefinitionKind, Error};

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
    pub scheme: HookScheme,
    /// Header with the signature, lower case; for schemes that leave it open.
    pub header: Option<String>,
    /// Prefix before the signature in the header.
    pub prefix: Option<String>,
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

impl Definition for RegisteredHook {
    const KIND: DefinitionKind = DefinitionKind::Hook;

    fn due_at(&self) -> Option<Timestamp> {
        None
    }
}

impl RegisteredHook {
    /// Returns the document that clients get, without the secret.
    pub(super) fn view(self, namespace: Option<&str>, name: &str) -> Hook {
        let definition = self.definition;
        Hook {
            name: name.to_owned(),
            path: match namespace {
                Some(namespace) => format!("/v1/hooks/{namespace}/{name}"),
                None => format!("/v1/hooks/{name}"),
            },
            agent: definition.agent,
            signature: HookSignature {
                scheme: definition.signature.scheme,
                header: definition.signature.header,
                prefix: definition.signature.prefix,
                secret: None,
            },
            input: definition.input,
            dedupe: definition.dedupe.map(|dedupe| HookDedupe {
                key: dedupe.key.into(),
                window: format!("{}ms", dedupe.window_ms),
            }),
            events: definition.events.map(|events| HookEvents {
                from: events.from.map(Into::into),
                any_of: events.any_of,
            }),
            labels: definition.labels,
            session_id: definition.session_id,
            enabled: definition.enabled,
            created_at_ms: self.created_at.as_millis(),
            updated_at_ms: self.updated_at.as_millis(),
        }
    }
}

impl HookDefinition {
    /// Returns the definition in a request, with defaults filled in, and the secret apart from it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`].
    pub(crate) fn of(request: HookRequest) -> Result<(Self, Option<HookSecret>), Error> {
        let dedupe = request.dedupe.map(|dedupe| {
            let window = parse_duration(&dedupe.window)
                .map_err(|error| invalid("/dedupe/window", error.to_string()))?;
            let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
            Ok::<_, Error>(Dedupe { key: field(dedupe.key, "/dedupe/key")?, window_ms })
        });
        let events = request.events.map(|events| {
            let from = events.from.map(|from| field(from, "/events/from")).transpose()?;
            Ok::<_, Error>(Events { from, any_of: events.any_of })
        });
        let definition = Self {
            agent: request.agent,
            signature: Signature {
                scheme: request.signature.scheme,
                header: request.signature.header.map(|header| header.to_lowercase()),
                prefix: request.signature.prefix,
            },
            input: request.input,
            dedupe: dedupe.transpose()?,
            events: events.transpose()?,
            labels: request.labels,
            session_id: request.session_id,
            enabled: request.enabled.unwrap_or(true),
        };
        Ok((definition, request.signature.secret.map(HookSecret::new)))
    }

    /// Returns the deduplication: the given one, or the scheme's own.
    pub(super) fn dedupe(&self) -> Option<Dedupe> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        let by_header = |header: &str| {
            Some(Dedupe { key: RequestField::Header(header.to_owned()), window_ms: DAY_MS })
        };
        self.dedupe.clone().or_else(|| match self.signature.scheme {
            HookScheme::Github => by_header("x-github-delivery"),
            HookScheme::StandardWebhooks => by_header("webhook-id"),
            HookScheme::HmacSha256 | HookScheme::Token => None,
        })
    }
}

/// Returns the error of a wrong field.
pub(super) fn invalid(pointer: impl Into<String>, reason: String) -> Error {
    Error::invalid::<RegisteredHook>(pointer, reason)
}

fn field(place: HookPlace, pointer: &str) -> Result<RequestField, Error> {
    match (place.header, place.pointer) {
        (Some(header), None) => Ok(RequestField::Header(header.to_lowercase())),
        (None, Some(pointer)) => Ok(RequestField::Pointer(pointer)),
        (Some(_), Some(_)) | (None, None) => {
            Err(invalid(pointer, "it is either a header or a pointer".to_owned()))
        }
    }
}

impl From<RequestField> for HookPlace {
    fn from(field: RequestField) -> Self {
        match field {
            RequestField::Header(header) => Self { header: Some(header), pointer: None },
            RequestField::Pointer(pointer) => Self { header: None, pointer: Some(pointer) },
        }
    }
}
