//! Components of an agent.

use errand_model::Digest;
use errand_model::event::PinnedImage;
use serde_json::{Value, json};

use super::property::{self, Properties};
use super::{
    NamedAgent, NamedPart, PackagedContent, PackagedFile, PartSource, Subject, digest_of, hashes,
    object,
};
use crate::agent_file::{ContainerPlace, KubernetesPlace, TargetKind, Tool};

/// The reference of the agent itself.
pub(super) const AGENT_REF: &str = "agent";

/// Prefix of the names of a coordinator's agents.
pub(super) const AGENT_PREFIX: &str = "agent:";

/// The agent: what the inventory is about.
pub(super) fn agent(subject: &Subject<'_>) -> Value {
    let agent = subject.agent;
    object([
        ("type", json!("application")),
        ("bom-ref", json!(AGENT_REF)),
        ("name", json!(agent.name)),
        ("version", json!(agent.version)),
        ("description", json!(agent.description)),
        ("hashes", hashes(subject.parcel)),
        ("properties", property::of_agent(subject)),
    ])
}

/// The program that took the inventory and runs the agent.
pub(super) fn errand(version: &str) -> Value {
    json!({ "type": "application", "bom-ref": "errand", "name": "errand", "version": version })
}

/// Everything else that is no service, by reference.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Value> {
    let agent = subject.agent;
    let mut all = models(subject);
    all.extend(agent.tools.iter().map(tool));
    all.extend(subject.skills.iter().map(|skill| part("skill", "definition", skill)));
    all.extend(subject.configs.iter().map(|config| part("config", "configuration", config)));
    all.extend(agent.policies.iter().map(|name| policy(name)));
    all.extend(subject.files.iter().map(file));
    all.extend(subject.agents.iter().map(named));
    match &agent.target {
        TargetKind::Process(_) => {}
        TargetKind::Container(ContainerPlace { image, .. })
        | TargetKind::Kubernetes(KubernetesPlace { image, .. }) => {
            all.push(container_image(image, subject.image));
        }
    }
    super::in_order(all)
}

/// The image of the agent's containers. Its digest identifies the manifest that the registry has.
fn container_image(name: &str, pinned: Option<&PinnedImage>) -> Value {
    let mut properties = Properties::default();
    if let Some(pinned) = pinned {
        properties.add("image:digest", &pinned.digest);
        properties.add("image:id", &pinned.id);
    }
    let digest = pinned.map(|pinned| {
        let digest = pinned.digest.rsplit_once('@').map_or(pinned.digest.as_str(), |(_, it)| it);
        digest.to_owned()
    });
    let parsed = digest.as_deref().and_then(|digest| digest.parse::<Digest>().ok());
    object([
        ("type", json!("container")),
        ("bom-ref", json!(format!("image:{name}"))),
        ("name", json!(name)),
        ("version", json!(digest)),
        ("hashes", parsed.as_ref().map_or(Value::Null, hashes)),
        ("properties", properties.into_value()),
    ])
}

fn models(subject: &Subject<'_>) -> Vec<Value> {
    let Some(model) = &subject.agent.model else { return Vec::new() };
    let first = (&model.provider, &model.name);
    let fallbacks = model.fallback.iter().map(|other| (&other.provider, &other.name));
    std::iter::once(first)
        .chain(fallbacks)
        .enumerate()
        .map(|(place, (provider, name))| {
            let role = if place == 0 { "primary".to_owned() } else { format!("fallback {place}") };
            let mut properties = Properties::default();
            properties.add("model:provider", provider);
            properties.add("model:role", &role);
            object([
                ("type", json!("machine-learning-model")),
                ("bom-ref", json!(format!("model:{provider}/{name}"))),
                ("group", json!(provider)),
                ("name", json!(name)),
                ("properties", properties.into_value()),
            ])
        })
        .collect()
}

fn tool(tool: &Tool) -> Value {
    let mut properties = Properties::default();
    properties.add_all("tool:command", &tool.command);
    if let Some(effect) = &tool.side_effect {
        properties.add("tool:side_effect", &property::word(effect));
    }
    if let Some(schema) = &tool.input_schema {
        properties.add("tool:input_schema", &digest_of(schema));
    }
    object([
        ("type", json!("application")),
        ("bom-ref", json!(format!("tool:{}", tool.name))),
        ("name", json!(tool.name)),
        ("description", json!(tool.description)),
        ("hashes", hashes(&digest_of(tool))),
        ("properties", properties.into_value()),
    ])
}

/// A skill or a config: data whose type is one of the standard's.
fn part(kind: &str, data_type: &str, part: &NamedPart) -> Value {
    let mut properties = Properties::default();
    let version = match &part.source {
        PartSource::Folder { path } => {
            properties.add(&format!("{kind}:path"), path);
            None
        }
        PartSource::Catalog { version } => {
            properties.add(&format!("{kind}:catalog"), &format!("{kind}/{}", part.slug));
            version.map(|version| version.to_string())
        }
    };
    object([
        ("type", json!("data")),
        ("bom-ref", json!(format!("{kind}:{}", part.slug))),
        ("name", json!(part.slug)),
        ("version", json!(version)),
        ("hashes", part.digest.as_ref().map_or(Value::Null, hashes)),
        ("data", json!([{ "type": data_type, "name": part.slug }])),
        ("properties", properties.into_value()),
    ])
}

fn policy(name: &str) -> Value {
    json!({
        "type": "data",
        "bom-ref": format!("policy:{name}"),
        "name": name,
        "data": [{ "type": "configuration", "name": name }],
    })
}

/// An agent of a coordinator.
fn named(agent: &NamedAgent) -> Value {
    let mut properties = Properties::default();
    properties.add("coordinator:member", &agent.path);
    object([
        ("type", json!("application")),
        ("bom-ref", json!(format!("{AGENT_PREFIX}{}", agent.path))),
        ("name", json!(agent.name)),
        ("version", json!(agent.version)),
        ("hashes", agent.digest.as_ref().map_or(Value::Null, hashes)),
        ("properties", properties.into_value()),
    ])
}

fn file(file: &PackagedFile) -> Value {
    let mut properties = Properties::default();
    let digest = match &file.content {
        PackagedContent::File { digest, size_bytes, executable } => {
            properties.add("file:size_bytes", size_bytes);
            if *executable {
                properties.add("file:executable", "true");
            }
            hashes(digest)
        }
        PackagedContent::Link { target } => {
            properties.add("file:link", target);
            Value::Null
        }
    };
    object([
        ("type", json!("file")),
        ("bom-ref", json!(format!("file:{}", file.path))),
        ("name", json!(file.path)),
        ("hashes", digest),
        ("properties", properties.into_value()),
    ])
}
