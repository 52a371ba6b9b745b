//! The bom: the inventory of an agent as it was, as `CycloneDX` 1.6 JSON.
//!
//! Pure: the same agent gives the same bytes on every machine. No clock, no random number: the
//! digest of a document is that of its content as canonical JSON, and its serial number is derived
//! from that digest. Values of secrets and of environment variables are never in it.

mod component;
mod diff;
mod property;
mod service;

use std::collections::BTreeMap;

use errand_model::event::PinnedImage;
use errand_model::{Digest, canonical};
use serde_json::{Map, Value, json};

pub use diff::{BomChange, Diff, FieldChange, Item, diff};

use crate::agent_file::Agent;

/// Value of `$schema`.
const SCHEMA: &str = "http://cyclonedx.org/schema/bom-1.6.schema.json";
/// The version of the standard.
const SPEC_VERSION: &str = "1.6";

/// Subject of an inventory.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The agent's checked definition.
    pub agent: &'a Agent,
    /// The parcel's digest.
    pub parcel: &'a Digest,
    /// Every packaged file and link, in any order.
    pub files: Vec<PackagedFile>,
    /// The skills that were found, in the order of the definition.
    pub skills: Vec<NamedPart>,
    /// The configs that were found, in the order of the definition.
    pub configs: Vec<NamedPart>,
    /// The tier, where it was looked up.
    pub tier: Option<NamedPart>,
    /// Services of the catalog that the tier and the definition name, where they were looked up.
    pub services: Vec<NamedPart>,
    /// The model route of the run, where it was looked up.
    pub model_route: Option<NamedPart>,
    /// The agents that a coordinator is made of, however deep, in any order.
    pub agents: Vec<NamedAgent>,
    /// The image of the agent's containers, where its name was resolved.
    pub image: Option<&'a PinnedImage>,
    /// The version of errand that runs the agent.
    pub errand_version: &'a str,
}

/// A file or a link of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagedFile {
    /// Relative to the agent's folder.
    pub path: String,
    /// Content of the file.
    pub content: PackagedContent,
}

/// Content of a packaged path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackagedContent {
    /// A file.
    File {
        /// The sha-256 of its bytes.
        digest: Digest,
        /// Its length.
        size_bytes: u64,
        /// True if it is executable.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Target of the link.
        target: String,
    },
}

/// A skill or a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPart {
    /// Slug in the agent file.
    pub slug: String,
    /// Source of the part.
    pub source: PartSource,
    /// The sha-256 of the file or manifest; `None` if it is not known here.
    pub digest: Option<Digest>,
}

/// Source of a skill or a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartSource {
    /// A file of the agent's folder.
    Folder {
        /// Path of the file, relative to the folder.
        path: String,
    },
    /// A definition of the catalog.
    Catalog {
        /// Version of the definition; `None` if it has none, or if it is not known here.
        version: Option<u64>,
    },
}

/// An agent of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAgent {
    /// The names in the coordinators that lead to it, the outermost first: `pair/analyst`.
    pub path: String,
    /// Its own name.
    pub name: String,
    /// Its version, where that is known.
    pub version: Option<String>,
    /// Its parcel; `None` for a registered one whose version is looked up when it is run.
    pub digest: Option<Digest>,
}

/// An inventory without a place among the generations of its agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Bom {
    /// The sha-256 of `content`: the inventory's name for ever.
    pub digest: Digest,
    /// The document as canonical JSON, without `serialNumber` and `version`.
    pub content: String,
}

/// Takes the inventory of an agent.
pub fn build(subject: &Subject<'_>) -> Bom {
    let agent = component::agent(subject);
    let components = component::all(subject);
    let services = service::all(subject);
    let refs: Vec<&str> = components.iter().chain(&services).map(reference_of).collect();
    let dependencies = dependencies(&refs);
    let mut document = Map::new();
    document.insert("$schema".to_owned(), json!(SCHEMA));
    document.insert("bomFormat".to_owned(), json!("CycloneDX"));
    document.insert("specVersion".to_owned(), json!(SPEC_VERSION));
    document.insert(
        "metadata".to_owned(),
        json!({
            "component": agent,
            "tools": { "components": [component::errand(subject.errand_version)] },
        }),
    );
    document.insert("components".to_owned(), Value::Array(components));
    document.insert("services".to_owned(), Value::Array(services));
    document.insert("dependencies".to_owned(), dependencies);
    let content = canonical::to_string(&Value::Object(document));
    Bom { digest: Digest::of(content.as_bytes()), content }
}

/// Returns the dependencies: agents below a coordinator depend on its part, everything else on the
/// whole.
fn dependencies(refs: &[&str]) -> Value {
    let mut by_parent = BTreeMap::<&str, Vec<&str>>::new();
    for reference in refs {
        let parent = reference
            .strip_prefix(component::AGENT_PREFIX)
            .and_then(|path| path.rsplit_once('/'))
            .and_then(|(parent, _)| reference.get(..component::AGENT_PREFIX.len() + parent.len()));
        by_parent.entry(parent.unwrap_or(component::AGENT_REF)).or_default().push(reference);
    }
    let own = by_parent.remove(component::AGENT_REF).unwrap_or_default();
    let others = by_parent.into_iter();
    let all = std::iter::once((component::AGENT_REF, own)).chain(others);
    all.map(|(reference, on)| json!({ "ref": reference, "dependsOn": on })).collect()
}

/// The whole document: `content` of a [`Bom`] with the serial number that its digest gives, and
/// its generation (`None`: it has none yet) as the version.
pub fn document(content: &Value, digest: &Digest, generation: Option<u64>) -> Value {
    let mut document = content.clone();
    if let Value::Object(members) = &mut document {
        members.insert("serialNumber".to_owned(), json!(serial_number(digest)));
        if let Some(generation) = generation {
            members.insert("version".to_owned(), json!(generation));
        }
    }
    document
}

/// A name-based UUID (RFC 9562, version 8) of the first 16 bytes of a digest.
fn serial_number(digest: &Digest) -> String {
    let hex = digest.hex();
    let variant = match hex.as_bytes().get(16).copied().unwrap_or(b'0') {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    format!(
        "urn:uuid:{}-{}-8{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

/// Members by name; those that are `null` are left out.
fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The digest of a value as canonical JSON.
fn digest_of(value: &impl serde::Serialize) -> Digest {
    // Definitions have string keys only: this cannot fail, and `null` would be seen in a diff.
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    Digest::of(canonical::to_string(&value).as_bytes())
}

fn hashes(digest: &Digest) -> Value {
    json!([{ "alg": "SHA-256", "content": digest.hex() }])
}

/// Gives every item a reference of its own, and sorts by it.
fn in_order(mut items: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeMap::<String, u32>::new();
    for item in &mut items {
        let Some(Value::String(reference)) = item.get_mut("bom-ref") else { continue };
        let count = seen.entry(reference.clone()).or_default();
        *count += 1;
        if *count > 1 {
            *reference = format!("{reference}#{count}");
        }
    }
    items.sort_by(|a, b| reference_of(a).cmp(reference_of(b)));
    items
}

fn reference_of(item: &Value) -> &str {
    item.get("bom-ref").and_then(Value::as_str).unwrap_or_default()
}
