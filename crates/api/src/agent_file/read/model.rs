//! Models, tools and what else an agent refers to by name.

use super::super::SideEffect;
use super::super::definition::{Agent, McpServer, Model, ModelName, Tool};
use super::super::known::Reference;
use super::super::reader::{At, Object, Reader};
use super::super::yaml::Kind;
use super::{json_schema, names, process};

const TOOL_FIELDS: &[&str] = &["name", "description", "command", "input_schema", "side_effect"];

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    agent.model = spec.get("model").and_then(|at| model(reader, &at));
    if let Some(at) = spec.get("skills") {
        agent.skills = slugs(reader, &at, "a skill", Reference::Skill);
    }
    if let Some(at) = spec.get("configs") {
        agent.configs = slugs(reader, &at, "a config", Reference::Config);
    }
    if let Some(at) = spec.get("tools") {
        agent.tools = tools(reader, &at);
    }
    if let Some(at) = spec.get("mcp_servers") {
        agent.mcp_servers = mcp_servers(reader, &at);
    }
}

/// A list of names of files, each at most once.
fn slugs(
    reader: &mut Reader,
    at: &At<'_>,
    what: &str,
    reference: fn(String) -> Reference,
) -> Vec<String> {
    let mut slugs = Vec::new();
    for item in reader.list(at) {
        if let Some(name) = slug(reader, &item, what) {
            if slugs.contains(&name) {
                reader.report(&item, format!("{name:?} is listed twice"));
            } else {
                reader.refers_to(&item, reference(name.clone()));
                slugs.push(name);
            }
        }
    }
    slugs
}

fn slug(reader: &mut Reader, at: &At<'_>, what: &str) -> Option<String> {
    let name = reader.text(at)?;
    if names::is_slug(&name) {
        return Some(name);
    }
    reader.report_hint(at, format!("{name:?} cannot be {what}"), names::SLUG_HINT);
    None
}

fn model(reader: &mut Reader, at: &At<'_>) -> Option<Model> {
    let fields = reader.object(at, &["provider", "name", "fallback"])?;
    let first = model_name(reader, &fields);
    let mut fallback = Vec::new();
    if let Some(at) = fields.get("fallback") {
        for item in reader.list(&at) {
            if let Some(fields) = reader.object(&item, &["provider", "name"]) {
                fallback.extend(model_name(reader, &fields));
            }
        }
    }
    let ModelName { provider, name } = first?;
    Some(Model { provider, name, fallback })
}

fn model_name(reader: &mut Reader, fields: &Object<'_>) -> Option<ModelName> {
    let provider = fields
        .require(reader, "provider", "write provider: anthropic")
        .and_then(|at| slug(reader, &at, "a provider"));
    let name = fields
        .require(reader, "name", "write name: and the provider's name of the model")
        .and_then(|at| reader.text(&at));
    Some(ModelName { provider: provider?, name: name? })
}

fn tools(reader: &mut Reader, at: &At<'_>) -> Vec<Tool> {
    let mut tools: Vec<Tool> = Vec::new();
    for item in reader.list(at) {
        if let Some(tool) = tool(reader, &item) {
            if tools.iter().any(|known| known.name == tool.name) {
                reader.report(&item, format!("the tool {:?} is listed twice", tool.name));
            } else {
                tools.push(tool);
            }
        }
    }
    tools
}

/// A name alone, or a mapping with more.
fn tool(reader: &mut Reader, at: &At<'_>) -> Option<Tool> {
    if matches!(at.node.kind, Kind::Text { .. }) {
        let name = slug(reader, at, "a tool")?;
        return Some(Tool {
            name,
            description: None,
            command: Vec::new(),
            input_schema: None,
            side_effect: None,
        });
    }
    let fields = reader.object(at, TOOL_FIELDS)?;
    let name = fields
        .require(reader, "name", "write name: and the tool's name")
        .and_then(|at| slug(reader, &at, "a tool"));
    let description = fields.get("description").and_then(|at| reader.text(&at));
    let command = fields.get("command").map(|at| process::command(reader, &at)).unwrap_or_default();
    let input_schema = fields.get("input_schema").and_then(|at| json_schema::read(reader, &at));
    let side_effect = fields
        .get("side_effect")
        .and_then(|at| reader.choice(&at, "a class of side effects", &SideEffect::ALL));
    Some(Tool { name: name?, description, command, input_schema, side_effect })
}

fn mcp_servers(reader: &mut Reader, at: &At<'_>) -> Vec<McpServer> {
    let mut servers: Vec<McpServer> = Vec::new();
    for item in reader.list(at) {
        if let Some(server) = mcp_server(reader, &item) {
            if servers.iter().any(|known| known.name == server.name) {
                reader.report(&item, format!("the server {:?} is listed twice", server.name));
            } else {
                servers.push(server);
            }
        }
    }
    servers
}

fn mcp_server(reader: &mut Reader, at: &At<'_>) -> Option<McpServer> {
    let fields = reader.object(at, &["name", "command", "url", "env"])?;
    let name = fields
        .require(reader, "name", "write name: and the server's name")
        .and_then(|at| slug(reader, &at, "an MCP server"));
    let command = fields.get("command").map(|at| process::command(reader, &at)).unwrap_or_default();
    let url = fields.get("url").and_then(|at| http_url(reader, &at));
    let env = fields.get("env").map(|at| process::env(reader, &at)).unwrap_or_default();
    match (fields.get("command"), fields.get("url")) {
        (None, None) => {
            reader.report_hint(
                at,
                "an MCP server has a command or a url",
                "write command: [program, …] for one on stdio, url: https://… for another",
            );
        }
        (Some(_), Some(url)) => {
            reader.report_hint(&url, "an MCP server has a command or a url", "remove one of them");
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    Some(McpServer { name: name?, command, url, env })
}

fn http_url(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let url = reader.text(at)?;
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty()) && names::is_plain_argument(&url) {
        return Some(url);
    }
    reader.report_hint(at, format!("{url:?} is not a URL"), "begin with https:// or http://");
    None
}
