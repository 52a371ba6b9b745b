//! API keys: their creation, lists, revocation and verification.
//!
//! Of a key only its public part and the SHA-256 of its secret part are stored. Keys of all
//! namespaces are stored together, since a request that shows a key does not say its namespace.

mod create;
mod list;
mod revoke;
mod verify;

use std::collections::BTreeSet;

use errand_api::access::KeyScope;
use errand_model::Timestamp;
use errand_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::error::NoRandomness;

pub use create::{Created, CreatedKey, create};
pub use list::{any, list};
pub use revoke::revoke;
pub use verify::{ACTS_WITHIN, AccessDenied, KeyHash, Verifier, hash};

/// Most keys of a registry: each has to be revoked by a person one day.
pub const KEYS_LIMIT: u32 = 10_000;
/// Longest name of a key, in characters.
const NAME_LIMIT: usize = 100;

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Public part, which identifies the key.
    pub public: String,
    /// Name that its creator gave it.
    pub name: String,
    /// Namespace that it gives access to; `None` for the default namespace.
    pub namespace: Option<String>,
    /// Permissions.
    pub scopes: BTreeSet<KeyScope>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time from which on it is refused; `None` for a key that never expires.
    pub expires_at: Option<Timestamp>,
}

/// Stored document of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    schema: u32,
    name: String,
    namespace: Option<String>,
    scopes: BTreeSet<KeyScope>,
    created_at_ms: Timestamp,
    expires_at_ms: Option<Timestamp>,
    /// Hash of the secret part, in hex digits.
    secret_sha256: String,
}

impl Body {
    fn read(document: &Document) -> Result<Self, Error> {
        Self::deserialize(&document.body).map_err(|error| Error::Damaged {
            public: document.key.clone(),
            reason: error.to_string(),
        })
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn key(self, public: &str) -> Key {
        Key {
            public: public.to_owned(),
            name: self.name,
            namespace: self.namespace,
            scopes: self.scopes,
            created_at: self.created_at_ms,
            expires_at: self.expires_at_ms,
        }
    }
}

/// Error: a key could not be created, listed or revoked.
#[derive(Debug, Error)]
pub enum Error {
    /// The name is invalid.
    #[error(
        "{name:?} cannot be the name of a key: 1 to {NAME_LIMIT} characters, no control characters"
    )]
    Name {
        /// Name that was given.
        name: String,
    },
    /// Another key of the namespace has that name.
    #[error("there is a key called {name:?} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A key without scopes would allow nothing.
    #[error("a key needs at least one scope")]
    NoScope,
    /// The key would expire at once.
    #[error("a key cannot expire in the past")]
    Expired,
    /// The registry has the most keys it may have.
    #[error("there are {KEYS_LIMIT} keys already")]
    TooMany,
    /// No key has that public part or name.
    #[error("there is no key {which:?}")]
    NotFound {
        /// A public part, or a name.
        which: String,
    },
    /// The key's document cannot be read.
    #[error("what is kept of the key {public} cannot be read: {reason}")]
    Damaged {
        /// Public part of the key.
        public: String,
        /// Reason in words.
        reason: String,
    },
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] errand_store::Error),
    /// The system has no randomness to give.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}
