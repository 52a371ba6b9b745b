//! The generations of an agent's inventory: what `errand bom ls --json` prints.

use errand_model::{Digest, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Generations, the latest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BomPage {
    /// The generations.
    pub boms: Vec<BomGeneration>,
}

/// Generation of an agent's inventory, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BomGeneration {
    /// The agent's name.
    pub agent: String,
    /// From 1, by agent.
    pub generation: u64,
    /// The document's name in the blob store.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Time of its first occurrence.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
}
