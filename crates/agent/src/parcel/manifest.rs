//! What is in a parcel.

use errand_model::{Digest, canonical};
use serde::{Deserialize, Serialize};

/// One file or link of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParcelFile {
    /// Relative to the folder, with `/` between its parts.
    pub path: String,
    /// What is there.
    pub content: Content,
}

/// What a packaged path holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// A file.
    File {
        /// Its length.
        size_bytes: u64,
        /// Whether anyone may execute it.
        executable: bool,
        /// The sha-256 of its bytes.
        digest: Digest,
    },
    /// A symbolic link that stays inside of the folder.
    Link {
        /// Where it points, as it is written.
        target: String,
    },
}

/// Everything that the digest of a parcel covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The version of this shape.
    pub(super) schema: u32,
    /// The digest of the normalised definition.
    pub(super) definition: Digest,
    /// By the bytes of their paths.
    pub(super) files: Vec<ParcelFile>,
}

impl Manifest {
    pub(super) const SCHEMA: u32 = 1;

    pub(super) fn new(definition: Digest, mut files: Vec<ParcelFile>) -> Self {
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        Self { schema: Self::SCHEMA, definition, files }
    }
}

/// The canonical JSON of a value that serialises to plain data.
pub(super) fn canonical_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_value(value).map(|value| canonical::to_string(&value))
}
