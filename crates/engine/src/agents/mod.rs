//! Registered agents: the versions of each, and the parcel of each version.
//!
//! A version means one content: runs of it can be compared and repeated. The version registered
//! last is the current one. Deliberately absent: building parcels, which the agent crate does.

mod archive;
mod find;
mod list;
mod page;
mod register;
mod remove;

use errand_api::error_code::ErrorCode;
use errand_model::{Digest, Timestamp};
use errand_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use errand_agent::parcel::{ALWAYS_IGNORED, Parcel, ParcelPlan};

pub use archive::{MalformedArchive, Unpacked, unpack};
pub use find::{find, open, split_reference};
pub use list::{current, list, versions};
pub use register::{Registration, RegistrationOutcome, Replace, check, check_sent, register};
pub use remove::remove;

/// A version of a registered agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Name of the agent.
    pub name: String,
    /// The version.
    pub version: String,
    /// Digest of its parcel.
    pub digest: Digest,
    /// Description of the agent, for people.
    pub description: Option<String>,
    /// Time when this content was registered.
    pub registered_at: Timestamp,
    /// Path or client that it came from, for people.
    pub source: String,
}

/// Stored document of a version; an agent's document repeats that of its current version.
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

/// Reads the version from its document.
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

/// Returns the key of a version's document.
fn version_key(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

/// Error: an agent cannot be registered, found or removed.
#[derive(Debug, Error)]
pub enum Error {
    /// No such agent, or no such version of it.
    #[error("no agent {reference} is registered")]
    NotFound {
        /// `name`, or `name@version`.
        reference: String,
        /// Advice in words.
        hint: String,
    },
    /// The version is registered with other content.
    #[error("{name}@{version} is registered already, as parcel {registered}, and this is {given}")]
    Conflict {
        /// Name of the agent.
        name: String,
        /// The version.
        version: String,
        /// The parcel that is registered.
        registered: Digest,
        /// The parcel that was given.
        given: Digest,
    },
    /// The document of an agent cannot be read.
    #[error("what is kept of agent {key} cannot be read: {reason}")]
    Damaged {
        /// Key of the document.
        key: String,
        /// Reason in words.
        reason: String,
    },
    /// Any other error of the engine.
    #[error(transparent)]
    Engine(#[from] crate::Error),
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::AgentNotFound,
            Self::Conflict { .. } => ErrorCode::AgentConflict,
            Self::Damaged { .. } => ErrorCode::RegistryDamaged,
            Self::Engine(error) => error.code(),
        }
    }

    /// Returns advice, if there is any.
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
