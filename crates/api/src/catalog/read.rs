//! Reading of manifests: everything that is wrong with a file, each problem with its place.

use std::collections::BTreeMap;

use errand_model::catalog::CatalogKind;
use serde_json::{Value, json};

use super::definition::DefinitionName;
use super::front_matter;
use super::manifest::{CatalogManifest, shape};
use super::skill::SkillFile;
use super::{MANIFEST_LIMIT_BYTES, SKILL_FILE_NAME};
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::shape::value_of;
use crate::agent_file::yaml::{self, Entry, Kind, Node, YamlPosition};
use crate::agent_file::{API_VERSION, AgentFileProblem, FileReference, Problems, closest};

/// A file with its manifests.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// The file as the user named it.
    pub source_name: String,
    /// The manifests, in their order.
    pub manifests: Vec<PlacedManifest>,
    /// The bytes, from which problems show their lines.
    bytes: Vec<u8>,
}

/// A manifest and the places in its file that later checks are about.
#[derive(Clone, Debug)]
pub struct PlacedManifest {
    /// The manifest.
    pub manifest: CatalogManifest,
    /// Place of its name.
    pub name: PlacedName,
    /// Definitions that it refers to.
    pub references: Vec<PlacedName>,
}

/// A name of a definition and its place in a file.
#[derive(Clone, Debug)]
pub struct PlacedName {
    /// Kind and name.
    pub name: DefinitionName,
    /// The field.
    path: String,
    place: YamlPosition,
}

impl PlacedName {
    /// Returns a problem with the name.
    pub(super) fn problem(&self, message: String, hint: Option<&str>) -> AgentFileProblem {
        AgentFileProblem { path: self.path.clone(), ..self.place.problem(message, hint) }
    }
}

const EXAMPLE_HINT: &str =
    "write apiVersion: errand.dev/v1, kind: Config, metadata: { name }, spec: { content }";

impl ManifestFile {
    /// Reads the manifests of a YAML or JSON file. The file may have several documents.
    ///
    /// # Errors
    ///
    /// [`Problems`]: everything that is wrong with it.
    pub fn parse(source_name: &str, bytes: Vec<u8>) -> Result<Self, Problems> {
        let read = yaml::load_all(&bytes).and_then(|roots| {
            if roots.is_empty() {
                let problem = YamlPosition::START.problem("the file is empty", Some(EXAMPLE_HINT));
                return Err(vec![problem]);
            }
            let mut reader = Reader::default();
            let read = roots.iter().map(|root| manifest(&mut reader, root)).collect::<Vec<_>>();
            let read = read.into_iter().flatten().collect();
            if reader.problems.is_empty() { Ok(read) } else { Err(reader.problems) }
        });
        match read {
            Ok(manifests) => Ok(Self { source_name: source_name.to_owned(), manifests, bytes }),
            Err(problems) => Err(Problems::new(source_name, &bytes, problems)),
        }
    }

    /// Reads the `SKILL.md` of a folder as a skill with the other files of the folder.
    ///
    /// # Errors
    ///
    /// [`Problems`]: everything that is wrong with the file.
    pub fn of_skill(
        source_name: &str,
        bytes: Vec<u8>,
        files: &BTreeMap<String, SkillFile>,
    ) -> Result<Self, Problems> {
        match skill(&bytes, files) {
            Ok(manifest) => {
                Ok(Self { source_name: source_name.to_owned(), manifests: vec![manifest], bytes })
            }
            Err(problems) => Err(Problems::new(source_name, &bytes, problems)),
        }
    }

    /// Returns the only manifest of a file.
    ///
    /// # Errors
    ///
    /// [`Problems`], if the file has several.
    pub fn only(mut self) -> Result<CatalogManifest, Problems> {
        match (self.manifests.pop(), self.manifests.is_empty()) {
            (Some(placed), true) => Ok(placed.manifest),
            (Some(_) | None, _) => {
                let problem = YamlPosition::START.problem("one manifest is expected", None);
                Err(self.problems(vec![problem]))
            }
        }
    }

    /// Returns problems of this file with its lines.
    pub(super) fn problems(&self, problems: Vec<AgentFileProblem>) -> Problems {
        Problems::new(&self.source_name, &self.bytes, problems)
    }
}

/// Reads one document. `None`: the reader has the problems.
fn manifest(reader: &mut Reader, root: &Node) -> Option<PlacedManifest> {
    let at = At::root(root);
    reader.entries(&at)?;
    let kind = kind(reader, &at)?;
    let before = reader.problems.len();
    reader.references.clear();
    let shape = shape(kind);
    let read = shape.read(reader, &at, shape.root());
    hint_at_sections(reader, before, kind);
    let read = value_of::<CatalogManifest>(reader, &at, read?)?;
    let spec = at.field("spec")?;
    read.spec.check(reader, &spec);
    let name = at.field("metadata")?.field("name")?;
    let name = PlacedName { name: read.name(), path: name.path, place: name.node.place };
    checked_size(reader, &at, &read);
    let references = std::mem::take(&mut reader.references);
    let references = references.into_iter().filter_map(|placed| match placed.reference {
        FileReference::Definition(kind, name) => {
            Some(PlacedName { name: (kind, name), path: placed.path, place: placed.place })
        }
        FileReference::Agent(_)
        | FileReference::Skill(_)
        | FileReference::Config(_)
        | FileReference::Program(_)
        | FileReference::Script(_) => None,
    });
    let references = references.collect();
    Some(PlacedManifest { manifest: read, name, references })
}

/// Reads the kind of a document.
fn kind(reader: &mut Reader, root: &At<'_>) -> Option<CatalogKind> {
    let words = || CatalogKind::ALL.iter().map(|kind| kind.as_str());
    let known = || words().collect::<Vec<_>>().join(", ");
    let Some(field) = root.field("kind") else {
        reader.report_hint(root, "\"kind\" is missing", format!("one of: {}", known()));
        return None;
    };
    let text = reader.text(&field)?;
    let kind = CatalogKind::ALL.iter().find(|kind| kind.as_str() == text);
    if kind.is_none() {
        let hint = match closest(&text, words()) {
            Some(meant) => format!("did you mean {meant}? One of: {}", known()),
            None if text == "Agent" => {
                "`errand push` registers an agent with a server; `errand run` runs its folder"
                    .to_owned()
            }
            None => format!("one of: {}", known()),
        };
        reader.report_hint(&field, format!("{text:?} is no kind of definition"), hint);
    }
    kind.copied()
}

/// Says of unknown fields at the top where they belong.
fn hint_at_sections(reader: &mut Reader, before: usize, kind: CatalogKind) {
    let spec = &shape(kind).definition(kind.as_str())["properties"];
    for problem in &mut reader.problems[before..] {
        let is_unknown = problem.message.starts_with("unknown field");
        if is_unknown && spec.get(&problem.path).is_some() {
            problem.hint = Some("it belongs under spec".to_owned());
        } else if is_unknown && matches!(problem.path.as_str(), "name" | "labels") {
            problem.hint = Some("it belongs under metadata".to_owned());
        }
    }
}

fn checked_size(reader: &mut Reader, at: &At<'_>, manifest: &CatalogManifest) {
    let size_bytes = manifest.canonical().len();
    if size_bytes > MANIFEST_LIMIT_BYTES {
        let message =
            format!("the manifest has {size_bytes} bytes, more than {MANIFEST_LIMIT_BYTES}");
        reader.report_hint(at, message, "keep large files elsewhere, and say where they are");
    }
}

/// Reads a `SKILL.md`.
fn skill(
    bytes: &[u8],
    files: &BTreeMap<String, SkillFile>,
) -> Result<PlacedManifest, Vec<AgentFileProblem>> {
    let front = front_matter::of(bytes)?;
    let mut reader = Reader::default();
    let root = At::root(&front.node);
    let mut text = |name: &str, hint: &str| {
        let Some(field) = root.field(name) else {
            let message = format!("{name:?} is missing in the front matter");
            reader.report_hint(&root, message, hint);
            return None;
        };
        Some((reader.word(&field)?, field))
    };
    let name = text("name", "write name: and the name of the skill, such as code-review");
    let description = text("description", "write description: and what the skill is for");
    let (Some((name, name_at)), Some((description, _))) = (name, description) else {
        return Err(reader.problems);
    };
    let document = json!({
        "apiVersion": API_VERSION, "kind": CatalogKind::Skill, "metadata": { "name": name },
        "spec": { "description": description, "instructions": front.text, "files": files },
    });
    let at_name = PlacedName {
        name: (CatalogKind::Skill, name),
        path: "name".to_owned(),
        place: name_at.node.place,
    };
    placed(&document, at_name)
}

/// Reads a document that was made of a `SKILL.md`. Its problems are at the place of its name.
fn placed(document: &Value, at: PlacedName) -> Result<PlacedManifest, Vec<AgentFileProblem>> {
    match CatalogManifest::parse_json(SKILL_FILE_NAME, document) {
        Ok(manifest) => Ok(PlacedManifest { manifest, name: at, references: Vec::new() }),
        Err(found) => Err(found
            .problems
            .into_iter()
            .map(|problem| AgentFileProblem {
                line: at.place.line,
                column: at.place.column,
                excerpt: None,
                ..problem
            })
            .collect()),
    }
}

impl CatalogManifest {
    /// Reads a manifest that a program wrote.
    ///
    /// # Errors
    ///
    /// [`Problems`]: everything that is wrong with it, by field.
    pub fn parse_json(source_name: &str, manifest: &Value) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        match self::manifest(&mut reader, &node_of(manifest)) {
            Some(placed) if reader.problems.is_empty() => Ok(placed.manifest),
            Some(_) | None => Err(Problems::new(source_name, b"", reader.problems)),
        }
    }
}

/// Returns a JSON value as a node without places.
fn node_of(value: &Value) -> Node {
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(value) => Kind::Bool { value: *value, text: value.to_string() },
        Value::Number(number) => Kind::Number { text: number.to_string() },
        Value::String(text) => Kind::Text { text: text.clone() },
        Value::Array(items) => Kind::List(items.iter().map(node_of).collect()),
        Value::Object(fields) => Kind::Map(fields.iter().map(entry_of).collect()),
    };
    Node { place: YamlPosition::START, kind }
}

fn entry_of((key, value): (&String, &Value)) -> Entry {
    Entry { key: key.clone(), key_place: YamlPosition::START, value: node_of(value) }
}
