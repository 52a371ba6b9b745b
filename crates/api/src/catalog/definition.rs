//! Parts that manifests of every kind have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use errand_model::catalog::CatalogKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::scalar::CatalogName;
use crate::agent_file::API_VERSION;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar::Labels;

/// Name of a definition: its kind, and its own name.
pub type DefinitionName = (CatalogKind, String);

/// The `spec` of one kind of manifest.
pub(crate) trait Definition: Serialize + DeserializeOwned + JsonSchema {
    /// Kind of the manifest.
    const KIND: CatalogKind;

    /// Returns the definitions that this one refers to.
    fn references(&self) -> Vec<DefinitionName> {
        Vec::new()
    }

    /// Returns the description for lists, if the kind has one.
    fn description(&self) -> Option<&str> {
        None
    }

    /// Reports fields that do not go together. Fields that are wrong by themselves were reported
    /// before.
    fn check(&self, _reader: &mut Reader, _spec: &At<'_>) {}
}

/// Name and labels of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DefinitionMetadata")]
pub struct DefinitionMetadata {
    /// Lower-case letters, digits, `-`, `_` and `.`, a letter or digit first.
    #[schemars(with = "CatalogName")]
    pub name: String,
    /// Labels of the definition, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Labels")]
    pub labels: BTreeMap<String, String>,
}

/// A manifest with a `spec` of that type, as its schema describes it.
#[derive(Debug)]
pub(super) struct ManifestForm<S>(PhantomData<S>);

impl<S: Definition> JsonSchema for ManifestForm<S> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Manifest", S::KIND).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("A manifest of the kind {}.", S::KIND),
            "type": "object",
            "additionalProperties": false,
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {
                "apiVersion": {
                    "description": "The version of this format.", "type": "string", "const": API_VERSION,
                    "examples": [API_VERSION],
                },
                "kind": {
                    "description": "Kind of the definition.", "type": "string",
                    "const": S::KIND.as_str(), "examples": [S::KIND.as_str()],
                },
                "metadata": generator.subschema_for::<DefinitionMetadata>(),
                "spec": generator.subschema_for::<S>(),
            },
        })
    }
}
