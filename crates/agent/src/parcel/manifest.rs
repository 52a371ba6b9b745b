//! Manifest of a parcel: the list of its files.

use errand_model::{Digest, canonical};
use serde::{Deserialize, Serialize};

/// A file or link of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParcelFile {
    /// Path relative to the folder, with `/` between its parts.
    pub path: String,
    /// Content of the path.
    pub content: Content,
}

/// Content of a packaged path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// A file.
    File {
        /// Length in bytes.
        size_bytes: u64,
        /// True if anyone may execute it.
        executable: bool,
        /// SHA-256 of its bytes.
        digest: Digest,
    },
    /// A symbolic link that stays inside of the folder.
    Link {
        /// Target of the link, as written.
        target: String,
    },
}

/// Everything that the digest of a parcel covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Version of this format.
    pub(super) schema: u32,
    /// Digest of the normalised definition.
    pub(super) definition: Digest,
    /// Files and links, by the bytes of their paths.
    pub(super) files: Vec<ParcelFile>,
}

impl Manifest {
    pub(super) const SCHEMA: u32 = 1;

    pub(super) fn new(definition: Digest, mut files: Vec<ParcelFile>) -> Self {
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        Self { schema: Self::SCHEMA, definition, files }
    }
}

/// Returns the canonical JSON of a value that serialises to plain data.
pub(super) fn canonical_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_value(value).map(|value| canonical::to_string(&value))
}
