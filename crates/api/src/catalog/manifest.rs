//! The manifest, and the table of the types of its `spec`.

use std::borrow::Cow;
use std::sync::LazyLock;

use errand_model::catalog::CatalogKind;
use errand_model::{Digest, canonical};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::config::ConfigDefinition;
use super::definition::{Definition as _, DefinitionMetadata, DefinitionName, ManifestForm};
use super::dispatcher::DispatcherDefinition;
use super::model_route::ModelRouteDefinition;
use super::policy::PolicyDefinition;
use super::price_table::PriceTableDefinition;
use super::scalar;
use super::service::ServiceDefinition;
use super::skill::SkillDefinition;
use super::tier::TierDefinition;
use crate::agent_file::API_VERSION;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar as shared_scalar;
use crate::agent_file::shape::{Shape, Types};

/// A manifest that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogManifest {
    /// Name and labels.
    pub metadata: DefinitionMetadata,
    /// The definition.
    pub spec: CatalogSpec,
}

const TYPES: Types = Types {
    reader_of: |name| scalar::reader_of(name).or_else(|| shared_scalar::reader_of(name)),
    section: |_| None,
};

macro_rules! definitions {
    ($($kind:ident($spec:ty);)*) => {
        /// The `spec` of a manifest.
        #[derive(Clone, Debug, PartialEq)]
        pub enum CatalogSpec {
            $(#[doc = concat!("That of a ", stringify!($kind), ".")] $kind($spec),)*
        }

        impl CatalogSpec {
            /// Returns the kind.
            pub const fn kind(&self) -> CatalogKind {
                match self { $(Self::$kind(_) => CatalogKind::$kind,)* }
            }

            /// Returns the definitions that this one refers to.
            pub fn references(&self) -> Vec<DefinitionName> {
                match self { $(Self::$kind(spec) => spec.references(),)* }
            }

            fn description(&self) -> Option<&str> {
                match self { $(Self::$kind(spec) => spec.description(),)* }
            }

            /// Reports fields that do not go together.
            pub(super) fn check(&self, reader: &mut Reader, spec: &At<'_>) {
                match self { $(Self::$kind(it) => it.check(reader, spec),)* }
            }

            fn to_json(&self) -> Value {
                // Types of definitions have string keys only: this cannot fail.
                match self { $(Self::$kind(spec) => serde_json::to_value(spec),)* }
                    .unwrap_or_default()
            }

            fn of(kind: CatalogKind, spec: Value) -> Result<Self, serde_json::Error> {
                match kind {
                    $(CatalogKind::$kind => serde_json::from_value(spec).map(Self::$kind),)*
                }
            }
        }

        /// Returns the grammar of the manifests of a kind.
        pub(super) fn shape(kind: CatalogKind) -> &'static Shape {
            match kind {
                $(CatalogKind::$kind => {
                    static SHAPE: LazyLock<Shape> =
                        LazyLock::new(|| Shape::of::<ManifestForm<$spec>>(TYPES));
                    &SHAPE
                })*
            }
        }

        /// Returns the JSON Schema (2020-12) of the manifests of a kind.
        pub fn schema(kind: CatalogKind) -> Value {
            match kind {
                $(CatalogKind::$kind => crate::schema::published::<ManifestForm<$spec>>(
                    &format!("https://errand.dev/schema/v1/{}.json", kind.path_word()),
                    &format!("errand {}", kind.path_word()),
                ),)*
            }
        }
    };
}

definitions! {
    Skill(SkillDefinition);
    Config(ConfigDefinition);
    Service(ServiceDefinition);
    Tier(TierDefinition);
    Dispatcher(DispatcherDefinition);
    PriceTable(PriceTableDefinition);
    Policy(PolicyDefinition);
    ModelRoute(ModelRouteDefinition);
}

impl CatalogManifest {
    /// Returns the kind.
    pub const fn kind(&self) -> CatalogKind {
        self.spec.kind()
    }

    /// Returns kind and name.
    pub fn name(&self) -> DefinitionName {
        (self.kind(), self.metadata.name.clone())
    }

    /// Returns the manifest as people write it.
    pub fn to_json(&self) -> Value {
        json!({
            "apiVersion": API_VERSION, "kind": self.kind(), "metadata": self.metadata,
            "spec": self.spec.to_json(),
        })
    }

    /// Returns the canonical JSON of the manifest, which its digest covers.
    pub fn canonical(&self) -> String {
        canonical::to_string(&self.to_json())
    }

    /// Returns the digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }

    /// Returns the description of the definition, if its kind has one.
    pub fn description(&self) -> Option<&str> {
        self.spec.description()
    }
}

impl Serialize for CatalogManifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// A manifest before its `spec` is read by its kind.
#[derive(Deserialize)]
struct WrittenManifest {
    kind: CatalogKind,
    metadata: DefinitionMetadata,
    spec: Value,
}

impl<'de> Deserialize<'de> for CatalogManifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenManifest { kind, metadata, spec } = WrittenManifest::deserialize(deserializer)?;
        let spec = CatalogSpec::of(kind, spec).map_err(serde::de::Error::custom)?;
        Ok(Self { metadata, spec })
    }
}

/// The frame of every manifest. Its `spec` is read by the kind, which reports problems by field.
impl JsonSchema for CatalogManifest {
    fn schema_name() -> Cow<'static, str> {
        "CatalogManifest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A manifest. `errand schema KIND` prints the schema of each kind.",
            "type": "object",
            "properties": {
                "apiVersion": { "description": "The version of this format.", "type": "string" },
                "kind": generator.subschema_for::<CatalogKind>(),
                "metadata": { "description": "Name and labels.", "type": "object" },
                "spec": { "description": "The definition.", "type": "object" },
            },
            "required": ["apiVersion", "kind", "metadata", "spec"],
        })
    }
}
