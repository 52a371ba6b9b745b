//! Services that an agent uses: MCP servers, and services of other agents.

use serde_json::{Value, json};

use super::property::{Properties, address};
use super::{digest_of, object};
use crate::agent_file::{Agent, Dependency, McpServer};

/// All services, by reference.
pub(super) fn all(agent: &Agent) -> Vec<Value> {
    let servers = agent.mcp_servers.iter().map(server);
    let dependencies = agent.dependencies.iter().map(|dependency| service(agent, dependency));
    super::in_order(servers.chain(dependencies).collect())
}

fn server(server: &McpServer) -> Value {
    let mut properties = Properties::default();
    properties.add("mcp:transport", if server.url.is_some() { "http" } else { "stdio" });
    properties.add_all("mcp:command", &server.command);
    if let Some(url) = &server.url {
        properties.add("mcp:url", &digest_of(url));
    }
    for (name, value) in &server.env {
        properties.add(&format!("mcp:env:{name}"), &digest_of(value));
    }
    object([
        ("bom-ref", json!(format!("mcp:{}", server.name))),
        ("name", json!(server.name)),
        ("endpoints", server.url.as_ref().map_or(Value::Null, |url| json!([address(url)]))),
        ("properties", properties.into_value()),
    ])
}

fn service(agent: &Agent, dependency: &Dependency) -> Value {
    let tier = dependency.tier.as_ref().or(agent.tier.as_ref());
    let name = dependency.service.as_ref().unwrap_or(&dependency.agent);
    let mut properties = Properties::default();
    properties.add("dependency:agent", &dependency.agent);
    if let Some(tier) = tier {
        properties.add("dependency:tier", tier);
    }
    if let Some(port) = dependency.port {
        properties.add("dependency:port", &port);
    }
    object([
        ("bom-ref", json!(format!("dependency:{}/{name}", dependency.agent))),
        ("name", json!(name)),
        ("properties", properties.into_value()),
    ])
}
