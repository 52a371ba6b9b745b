//! What an export says that is in it.

use std::collections::BTreeMap;

use errand_model::{Digest, RunId};
use errand_store::Stored;
use serde::{Deserialize, Serialize};

/// The version of the archive's layout, of one run.
pub const EXPORT_SCHEMA: u32 = 1;
/// The same, of a coordinator and its children.
pub const FAMILY_SCHEMA: u32 = 2;

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`EXPORT_SCHEMA`], or [`FAMILY_SCHEMA`] where there are children.
    pub(super) schema: u32,
    /// Which run; of a family the one at the top.
    pub(super) run_id: RunId,
    /// How many events its journal has.
    pub(super) events: u64,
    /// The hash of the last one.
    pub(super) hash: String,
    /// The named output files, with the digests of their blobs.
    pub(super) artifacts: BTreeMap<String, Digest>,
    /// The runs that it started, however deep.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) children: BTreeMap<RunId, Member>,
    /// All other entries, by name.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One run of a family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// As of the run at the top.
    pub(super) events: u64,
    /// As of the run at the top.
    pub(super) hash: String,
    /// As of the run at the top.
    pub(super) artifacts: BTreeMap<String, Digest>,
}

impl Member {
    /// A run as it is.
    pub(super) fn of(stored: &Stored) -> Self {
        let artifacts = stored.run.artifacts.iter();
        Self {
            events: stored.head.seq,
            hash: stored.head.hash.to_string(),
            artifacts: artifacts.map(|(name, file)| (name.clone(), file.digest.clone())).collect(),
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What it is.
    pub(super) kind: Kind,
    /// Of its bytes; of its target, for a link.
    pub(super) digest: Digest,
    /// How many bytes.
    pub(super) size_bytes: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Link,
}

impl Kind {
    /// The mode in the entry's header.
    pub(super) const fn mode(self) -> u32 {
        match self {
            Self::File => 0o644,
            Self::Executable => 0o755,
            Self::Link => 0o777,
        }
    }
}
