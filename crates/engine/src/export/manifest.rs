//! Manifest of an export: its run, its descendants, and the digest of every entry.

use std::collections::BTreeMap;

use errand_model::{Digest, RunId};
use errand_store::Stored;
use serde::{Deserialize, Serialize};

/// Version of the archive layout of one run.
pub const EXPORT_SCHEMA: u32 = 1;
/// Version of the archive layout of a coordinator and its descendants.
pub const FAMILY_SCHEMA: u32 = 2;

/// Content of `manifest.json`, the last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`EXPORT_SCHEMA`], or [`FAMILY_SCHEMA`] if there are descendants.
    pub(super) schema: u32,
    /// Id of the run; of a coordinator, the top one.
    pub(super) run_id: RunId,
    /// Number of events in its journal.
    pub(super) events: u64,
    /// Hash of its last event.
    pub(super) hash: String,
    /// Named output files, with the digests of their blobs.
    pub(super) artifacts: BTreeMap<String, Digest>,
    /// Descendants of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) children: BTreeMap<RunId, Member>,
    /// All other entries, by name.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// A descendant in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// As [`Manifest::events`].
    pub(super) events: u64,
    /// As [`Manifest::hash`].
    pub(super) hash: String,
    /// As [`Manifest::artifacts`].
    pub(super) artifacts: BTreeMap<String, Digest>,
}

impl Member {
    /// Returns the facts of a stored run.
    pub(super) fn of(stored: &Stored) -> Self {
        let artifacts = stored.run.artifacts.iter();
        Self {
            events: stored.head.seq,
            hash: stored.head.hash.to_string(),
            artifacts: artifacts.map(|(name, file)| (name.clone(), file.digest.clone())).collect(),
        }
    }
}

/// An entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Kind of the entry.
    pub(super) kind: Kind,
    /// Digest of its bytes; of its target, for a link.
    pub(super) digest: Digest,
    /// Length of its content in bytes.
    pub(super) size_bytes: u64,
}

/// Kind of an archive entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A file.
    File,
    /// An executable file.
    Executable,
    /// A symbolic link.
    Link,
}

impl Kind {
    /// Returns the mode for the entry's header.
    pub(super) const fn mode(self) -> u32 {
        match self {
            Self::File => 0o644,
            Self::Executable => 0o755,
            Self::Link => 0o777,
        }
    }
}
