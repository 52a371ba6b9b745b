//! Services that an agent uses: MCP servers, and services of the catalog.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::property::{Properties, address};
use super::{NamedPart, PartSource, Subject, digest_of, object};
use crate::agent_file::{Agent, Dependency, McpServer, McpValue};

/// All services, by reference.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Value> {
    let agent = subject.agent;
    let mut services: BTreeMap<&str, Option<u16>> =
        subject.services.iter().map(|part| (part.slug.as_str(), None)).collect();
    let named = agent.dependencies.iter();
    services.extend(named.filter_map(|it| Some((it.service_name()?, it.port))));
    let services = services.into_iter().map(|named| service(agent, named, &subject.services));
    let others = agent.dependencies.iter().filter_map(|it| of_other_agent(agent, it));
    let servers = agent.mcp_servers.iter().map(server);
    super::in_order(servers.chain(services).chain(others).collect())
}

fn server(server: &McpServer) -> Value {
    let mut properties = Properties::default();
    properties.add("mcp:transport", if server.url.is_some() { "http" } else { "stdio" });
    properties.add_all("mcp:command", &server.command);
    if let Some(url) = &server.url {
        properties.add("mcp:url", &digest_of(url));
    }
    for (kind, values) in [("env", &server.env), ("header", &server.headers)] {
        for (name, value) in values {
            let shown = match value {
                McpValue::Text(text) => digest_of(text).to_string(),
                McpValue::Secret { secret, .. } => format!("secret {secret}"),
            };
            properties.add(&format!("mcp:{kind}:{name}"), &shown);
        }
    }
    object([
        ("bom-ref", json!(format!("mcp:{}", server.name))),
        ("name", json!(server.name)),
        ("endpoints", server.url.as_ref().map_or(Value::Null, |url| json!([address(url)]))),
        ("properties", properties.into_value()),
    ])
}

fn service(agent: &Agent, (name, port): (&str, Option<u16>), services: &[NamedPart]) -> Value {
    let part = services.iter().find(|part| part.slug == name);
    let version = part.and_then(|part| match &part.source {
        PartSource::Catalog { version } => *version,
        PartSource::Folder { .. } => None,
    });
    let mut properties = Properties::default();
    properties.add("service:catalog", &format!("service/{name}"));
    if let Some(digest) = part.and_then(|part| part.digest.as_ref()) {
        properties.add("service:digest", digest);
    }
    if agent.dependencies.iter().all(|it| it.service_name() != Some(name))
        && let Some(tier) = &agent.tier
    {
        properties.add("service:tier", tier);
    }
    if let Some(port) = port {
        properties.add("service:port", &port);
    }
    object([
        ("bom-ref", json!(format!("service:{name}"))),
        ("name", json!(name)),
        ("version", json!(version.map(|version| version.to_string()))),
        ("properties", properties.into_value()),
    ])
}

/// A service of another agent, which older versions of errand knew.
fn of_other_agent(agent: &Agent, dependency: &Dependency) -> Option<Value> {
    let other = dependency.agent.as_ref()?;
    let tier = dependency.tier.as_ref().or(agent.tier.as_ref());
    let name = dependency.service.as_ref().unwrap_or(other);
    let mut properties = Properties::default();
    properties.add("dependency:agent", other);
    if let Some(tier) = tier {
        properties.add("dependency:tier", tier);
    }
    if let Some(port) = dependency.port {
        properties.add("dependency:port", &port);
    }
    Some(object([
        ("bom-ref", json!(format!("dependency:{other}/{name}"))),
        ("name", json!(name)),
        ("properties", properties.into_value()),
    ]))
}
