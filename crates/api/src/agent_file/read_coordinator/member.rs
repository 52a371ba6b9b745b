//! Agents that an agent file names.

use errand_model::coordination::AGENTS_LIMIT;
use serde_json::{Value, json};

use super::super::at::At;
use super::super::coordinator::{default_name, is_path};
use super::super::known::FileReference;
use super::super::names;
use super::super::reader::Reader;
use super::super::shape::Shape;
use super::super::yaml::Kind;

/// Hint where an agent's name is refused.
const AGENT_HINT: &str =
    "write a registered name, name@version, or a path relative to this file such as ../validator";

/// The names that agents or nodes of a coordinator have, as far as the file tells.
pub(super) fn names_in(coordinator: &At<'_>) -> Vec<String> {
    if let Some(graph) = coordinator.field("graph") {
        let Kind::Map(entries) = &graph.node.kind else { return Vec::new() };
        return entries.iter().map(|entry| entry.key.clone()).collect();
    }
    let agents = coordinator.field("agents").map(|at| at.items()).unwrap_or_default();
    agents.iter().filter_map(told_name).collect()
}

/// The name of one agent of a list: what it is given, or what the agent tells.
fn told_name(item: &At<'_>) -> Option<String> {
    if let Some(name) = item.field("name") {
        return name.text().map(str::to_owned);
    }
    let agent = item.field("agent");
    default_name(agent.as_ref().unwrap_or(item).text()?).filter(|name| names::is_member_name(name))
}

/// Reads a list of at least one agent; `object` is the type of one that is a mapping.
pub(super) fn read_list(
    shape: &Shape,
    reader: &mut Reader,
    at: &At<'_>,
    object: &str,
) -> Option<Value> {
    if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        reader.report(at, "there is no agent in the list");
    }
    read_items(shape, reader, at, object).map(Value::Array)
}

/// Reads a list of agents, each of which becomes a mapping with its name.
pub(super) fn read_items(
    shape: &Shape,
    reader: &mut Reader,
    at: &At<'_>,
    object: &str,
) -> Option<Vec<Value>> {
    let items = reader.checked_list(at)?;
    bound(reader, at, items.len());
    let mut all: Vec<Value> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(named) = read_named(shape, reader, item, object) else { continue };
        if all.iter().any(|other| other["name"] == named["name"]) {
            let agent = named["agent"].as_str().unwrap_or_default();
            reader.report_hint(
                item,
                format!("another agent of this list has the name {}", named["name"]),
                format!("give this one its own: {{ agent: {agent}, name: … }}"),
            );
        } else {
            all.push(named);
        }
    }
    Some(all)
}

/// Reports more agents than there may be.
pub(super) fn bound(reader: &mut Reader, at: &At<'_>, count: usize) {
    if count > AGENTS_LIMIT {
        reader.report(at, format!("there are {count} agents, more than {AGENTS_LIMIT}"));
    }
}

/// Reads an agent alone, or a mapping with its name and more.
fn read_named(shape: &Shape, reader: &mut Reader, at: &At<'_>, object: &str) -> Option<Value> {
    let mut named = if at.is_map() {
        shape.read(reader, at, shape.definition(object))?
    } else {
        json!({ "agent": agent(reader, at)? })
    };
    if named.get("name").is_none() {
        // One that was given and refused is no reason to ask for another.
        if at.field("name").is_some() {
            return None;
        }
        let agent = named["agent"].as_str()?;
        let Some(name) = told_name(at) else {
            reader.report_hint(
                at,
                format!("{agent:?} does not tell what the agent is called here"),
                format!("write {{ agent: {agent}, name: … }}"),
            );
            return None;
        };
        named["name"] = name.into();
    }
    Some(named)
}

/// Reads the name that an agent has in a coordinator.
pub(super) fn name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let complaint = "cannot be the name of an agent here";
    reader.text_that(at, names::is_member_name, complaint, names::MEMBER_HINT)
}

/// Reads a registered name, `name@version`, or a path relative to the agent file.
pub(super) fn agent(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let agent = reader.text(at)?;
    if check(reader, at, &agent) {
        reader.refers_to(at, FileReference::Agent(agent.clone()));
        return Some(agent);
    }
    None
}

/// Reports what cannot name an agent.
fn check(reader: &mut Reader, at: &At<'_>, agent: &str) -> bool {
    if is_path(agent) {
        if agent.starts_with('/') {
            let message = format!("{agent:?} is not relative to this file");
            reader.report_hint(at, message, AGENT_HINT);
            return false;
        }
        return true;
    }
    let (name, version) = agent.split_once('@').unwrap_or((agent, "0"));
    if names::is_agent_name(name) && names::is_plain_argument(version) && !version.is_empty() {
        return true;
    }
    reader.report_hint(at, format!("{agent:?} cannot be an agent"), AGENT_HINT);
    false
}
