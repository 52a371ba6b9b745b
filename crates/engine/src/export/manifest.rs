//! What an export says that is in it.

use std::collections::BTreeMap;

use errand_model::{Digest, RunId};
use serde::{Deserialize, Serialize};

/// The version of the archive's layout.
pub const EXPORT_SCHEMA: u32 = 1;

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`EXPORT_SCHEMA`].
    pub(super) schema: u32,
    /// Which run.
    pub(super) run_id: RunId,
    /// How many events its journal has.
    pub(super) events: u64,
    /// The hash of the last one.
    pub(super) hash: String,
    /// The named output files, with the digests of their blobs.
    pub(super) artifacts: BTreeMap<String, Digest>,
    /// All other entries, by name.
    pub(super) entries: BTreeMap<String, Entry>,
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
