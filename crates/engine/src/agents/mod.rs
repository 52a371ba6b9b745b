//! Registered agents: the versions of each, and the parcel of each version.
//!
//! A version means one content: runs of it can be compared and repeated. The version registered
//! last is the current one. Deliberately absent: building parcels, which the agent crate does.

mod archive;
mod error;
mod find;
mod list;
mod page;
mod register;
mod remove;

use errand_model::{Digest, Timestamp};
use errand_store::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use errand_agent::parcel::{ALWAYS_IGNORED, Parcel, ParcelPlan};

pub use archive::{MalformedArchive, Unpacked, unpack};
pub use error::{AgentProblem, Error};
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
    /// Definitions of the catalog that the agent uses, as `kind/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uses: Vec<String>,
}

impl Body {
    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// Reads the version from its document.
fn read(document: &Document) -> Result<Version, Error> {
    let body = Body::deserialize(&document.body).map_err(|error| AgentProblem::Damaged {
        key: document.key.clone(),
        reason: error.to_string(),
    })?;
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
