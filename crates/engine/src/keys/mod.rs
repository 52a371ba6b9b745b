//! API keys: made, listed, taken back, and checked at the door.
//!
//! Of a key only its public part and the SHA-256 of its secret part are kept. All keys are kept in
//! one place, whatever namespace they are for: whoever shows a key does not say which.

mod create;
mod list;
mod revoke;
mod verify;

use std::collections::BTreeSet;

use errand_api::access::Scope;
use errand_model::Timestamp;
use errand_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use create::{Created, NewKey, create};
pub use list::{any, list};
pub use revoke::revoke;
pub use verify::{ACTS_WITHIN, Denied, Verifier};

/// More keys are refused: each is somebody's to take back one day.
pub const KEYS_LIMIT: u32 = 10_000;
/// The longest name of a key, in characters.
const NAME_LIMIT: usize = 100;

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The public part, which names it.
    pub public: String,
    /// What its maker called it.
    pub name: String,
    /// Whose things it opens; `None`: the default namespace's.
    pub namespace: Option<String>,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not taken any more; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// What is kept of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    schema: u32,
    name: String,
    namespace: Option<String>,
    scopes: BTreeSet<Scope>,
    created_at_ms: Timestamp,
    expires_at_ms: Option<Timestamp>,
    /// Hex digits.
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

/// Why a key could not be made, listed or taken back.
#[derive(Debug, Error)]
pub enum Error {
    /// The name cannot be one.
    #[error(
        "{name:?} cannot be the name of a key: 1 to {NAME_LIMIT} characters, no control characters"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// Another key has that name in that namespace.
    #[error("there is a key called {name:?} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A key without scopes opens nothing.
    #[error("a key needs at least one scope")]
    NoScope,
    /// It would be over before it began.
    #[error("a key cannot expire in the past")]
    Expired,
    /// There are too many.
    #[error("there are {KEYS_LIMIT} keys already")]
    TooMany,
    /// No key is called that.
    #[error("there is no key {which:?}")]
    NotFound {
        /// A public part, or a name.
        which: String,
    },
    /// What is kept of a key cannot be read.
    #[error("what is kept of the key {public} cannot be read: {reason}")]
    Damaged {
        /// Its public part.
        public: String,
        /// Why.
        reason: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}

impl From<errand_store::Error> for Error {
    fn from(error: errand_store::Error) -> Self {
        Self::Engine(error.into())
    }
}
