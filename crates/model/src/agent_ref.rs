//! Agent that a run executes, with the digest of its parcel.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Agent that a run executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRef {
    /// `metadata.name` of the agent file.
    pub name: String,
    /// `metadata.version` of the agent file.
    pub version: String,
    /// The parcel's digest: what really runs.
    pub digest: Digest,
    /// Folder that the parcel was built from, for people; it may be gone.
    pub path: String,
}
