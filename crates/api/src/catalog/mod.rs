//! The catalog: shared definitions that people write as manifests and that runs refer to by name.
//!
//! A manifest is `{apiVersion, kind, metadata, spec}`. Each kind has a file here with the type of its
//! `spec`, which implements `Definition`, and a line in the table of `manifest`. The JSON Schema of
//! the type is the grammar of its files, as in an agent file (`agent_file`).
//!
//! Deliberately absent: files and the store. `errand-engine` reads folders and keeps versions.

mod answer;
mod config;
mod definition;
mod dispatcher;
mod front_matter;
mod manifest;
mod model_route;
mod policy;
mod price_table;
mod read;
pub mod scalar;
mod service;
mod set;
mod skill;
mod tier;

pub use crate::agent_file::names::is_definition_name;
pub use answer::{
    CatalogApplied, CatalogBatch, CatalogChange, CatalogEntry, CatalogItem, CatalogOrigin,
    CatalogOutcome, CatalogPage,
};
pub use config::ConfigDefinition;
pub use definition::{DefinitionMetadata, DefinitionName};
pub use dispatcher::{BusAddress, DispatchMode, DispatcherDefinition, TargetWord};
pub use errand_model::catalog::{CatalogKind, CatalogPin, UnknownCatalogKind};
pub use manifest::{CatalogManifest, CatalogSpec, schema};
pub use model_route::{FallbackCause, ModelRouteDefinition, RouteEntry, RouteTarget};
pub use policy::{PolicyDefinition, PolicyMode};
pub use price_table::PriceTableDefinition;
pub use read::{ManifestFile, PlacedManifest, PlacedName};
pub use service::{EnvironmentValue, HealthCheck, ServiceDefinition, ServicePort, Transport};
pub use set::{duplicates, names_outside, unknown_names};
pub use skill::{SkillDefinition, SkillFile};
pub use tier::{TierDefinition, TierResources};

/// The longest manifest, as canonical JSON: a brief holds several of them.
pub const MANIFEST_LIMIT_BYTES: usize = 1024 * 1024;

/// The file that makes a folder a skill.
pub const SKILL_FILE_NAME: &str = "SKILL.md";
