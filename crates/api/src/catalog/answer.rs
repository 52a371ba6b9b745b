//! Documents about the catalog that the program prints and the gateway answers.

use std::collections::BTreeMap;

use errand_model::Digest;
use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::CatalogManifest;

/// A definition of the catalog with its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogItem {
    /// Facts about it.
    #[serde(flatten)]
    pub entry: CatalogEntry,
    /// The manifest.
    pub manifest: CatalogManifest,
}

/// A definition of the catalog in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogEntry {
    /// Kind of the definition.
    pub kind: CatalogKind,
    /// Name of the definition.
    pub name: String,
    /// Version, counted from 1; `null` for a definition from a file beside the registry.
    pub version: Option<u64>,
    /// Digest of the manifest as canonical JSON.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Place of the definition.
    pub origin: CatalogOrigin,
    /// The file, for a definition from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Labels of the manifest.
    pub labels: BTreeMap<String, String>,
    /// Description, if the kind has one.
    pub description: Option<String>,
    /// Time at which the version was made, in milliseconds since 1970; `null` for a file.
    pub changed_at_ms: Option<i64>,
}

/// Place of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogOrigin {
    /// The registry's database.
    Registry,
    /// A file of the folder `catalog` beside the registry's database.
    File,
}

/// A page of definitions of one kind, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogPage {
    /// The definitions.
    pub definitions: Vec<CatalogEntry>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Manifests that are applied together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogBatch {
    /// The manifests, each name once.
    #[schemars(length(min = 1, max = 1000))]
    pub manifests: Vec<CatalogManifest>,
    /// True if nothing is to be stored: the answer says what would change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Outcome of manifests that were applied together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogApplied {
    /// A change for each manifest, in their order.
    pub changes: Vec<CatalogChange>,
}

/// Outcome of one manifest that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CatalogChange {
    /// Kind of the definition.
    pub kind: CatalogKind,
    /// Name of the definition.
    pub name: String,
    /// Outcome.
    pub outcome: CatalogOutcome,
    /// Version that is current now.
    pub version: u64,
    /// Digest of the manifest as canonical JSON.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// Outcome of a manifest that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogOutcome {
    /// The definition is new.
    Created,
    /// The definition has a new version.
    Changed,
    /// The current version is the same.
    Unchanged,
}

impl CatalogOutcome {
    /// Returns the word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}
