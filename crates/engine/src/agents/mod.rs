//! Registered agents: which versions of an agent there are, and which parcel each of them is.
//!
//! A version means one content: runs of it can be compared and repeated. The latest version that was
//! registered is the current one. Deliberately absent: building parcels, which is the agent crate's.

mod archive;
mod find;
mod list;
mod register;
mod remove;

use errand_api::error_code::ErrorCode;
use errand_model::{Digest, Timestamp};
use errand_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use errand_agent::parcel::{ALWAYS_IGNORED, Parcel, Plan};

pub use archive::{Malformed, Unpacked, unpack};
pub use find::{find, open, split_reference};
pub use list::{current, list, versions};
pub use register::{Outcome, Registration, Replace, check, check_sent, register};
pub use remove::remove;

/// A version of a registered agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The agent.
    pub name: String,
    /// The version.
    pub version: String,
    /// Its parcel.
    pub digest: Digest,
    /// What the agent does, for people.
    pub description: Option<String>,
    /// When this content was registered.
    pub registered_at: Timestamp,
    /// Where it came from, for people.
    pub source: String,
}

/// What is kept of a version; of an agent the same is kept for its current version.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    schema: u32,
    name: String,
    version: String,
    digest: Digest,
    description: Option<String>,
    registered_at_ms: Timestamp,
    source: String,
}

impl Body {
    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// The version that a document tells of.
fn read(document: &Document) -> Result<Version, Error> {
    let body = Body::deserialize(&document.body)
        .map_err(|error| Error::Damaged { key: document.key.clone(), reason: error.to_string() })?;
    Ok(Version {
        name: body.name,
        version: body.version,
        digest: body.digest,
        description: body.description,
        registered_at: body.registered_at_ms,
        source: body.source,
    })
}

/// The key of a version's document.
fn version_key(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

/// Why an agent cannot be registered, found or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// No such agent, or no such version of it.
    #[error("no agent {reference} is registered")]
    NotFound {
        /// `name`, or `name@version`.
        reference: String,
        /// What to do about it.
        hint: String,
    },
    /// The version is registered with other content.
    #[error("{name}@{version} is registered already, as parcel {registered}, and this is {given}")]
    Conflict {
        /// The agent.
        name: String,
        /// The version.
        version: String,
        /// The parcel that is registered.
        registered: Digest,
        /// The parcel that was given.
        given: Digest,
    },
    /// What is kept of an agent cannot be read.
    #[error("what is kept of agent {key} cannot be read: {reason}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Everything else.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::AgentNotFound,
            Self::Conflict { .. } => ErrorCode::AgentConflict,
            Self::Damaged { .. } => ErrorCode::RegistryDamaged,
            Self::Engine(error) => error.code(),
        }
    }

    /// Returns what to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotFound { hint, .. } => Some(hint),
            Self::Conflict { .. } | Self::Damaged { .. } | Self::Engine(_) => None,
        }
    }
}

impl From<errand_store::Error> for Error {
    fn from(error: errand_store::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<errand_agent::parcel::Error> for Error {
    fn from(error: errand_agent::parcel::Error) -> Self {
        Self::Engine(error.into())
    }
}
