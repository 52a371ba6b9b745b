//! Coordinators.

use std::collections::BTreeMap;

use super::super::coordinator::{Aggregation, Coordinator, Edge, MessageType, Node};
use super::super::reader::{At, Object, Reader, field_of};
use super::super::suggest::closest;
use super::super::yaml::Kind;
use super::names;
use super::process::variant;

#[derive(Clone, Copy)]
enum Type {
    Chain,
    FanOut,
    Workflow,
}

const COORDINATORS: &[(&str, Type)] =
    &[("chain", Type::Chain), ("fan_out", Type::FanOut), ("workflow", Type::Workflow)];

const AGGREGATIONS: &[(&str, Aggregation)] = &[
    ("merge_all", Aggregation::MergeAll),
    ("first_success", Aggregation::FirstSuccess),
    ("majority", Aggregation::Majority),
    ("collect", Aggregation::Collect),
];

const MESSAGE_TYPES: &[(&str, MessageType)] = &[
    ("TASK", MessageType::Task),
    ("RESULT", MessageType::Result),
    ("VALIDATION", MessageType::Validation),
    ("ERROR", MessageType::Error),
    ("CONTROL", MessageType::Control),
];

/// More nodes are a mistake; every edge is looked for among them.
const MAX_NODES: usize = 1_000;

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    match variant(reader, at, "type", "a coordinator", COORDINATORS)? {
        Type::Chain => {
            let fields = reader.object(at, &["type", "agents"])?;
            Some(Coordinator::Chain { agents: agents(reader, &fields)? })
        }
        Type::FanOut => fan_out(reader, at),
        Type::Workflow => workflow(reader, at),
    }
}

fn agents(reader: &mut Reader, fields: &Object<'_>) -> Option<Vec<String>> {
    let at = fields.require(reader, "agents", "write agents: [first, second]")?;
    let items = reader.list(&at);
    if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        reader.report(&at, "there is no agent in the list");
    }
    Some(items.iter().filter_map(|item| agent(reader, item)).collect())
}

/// A registered name, or a path relative to the agent file.
fn agent(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text(at)?;
    if names::is_plain_argument(&name) && !name.starts_with("__") {
        return Some(name);
    }
    reader.report_hint(
        at,
        format!("{name:?} cannot be an agent"),
        "write a registered name, or a path relative to this file such as ../validator",
    );
    None
}

fn fan_out(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    let known = ["type", "agents", "aggregation", "timeout_per_agent", "max_parallel"];
    let fields = reader.object(at, &known)?;
    let agents = agents(reader, &fields);
    let aggregation = fields
        .get("aggregation")
        .and_then(|at| reader.choice(&at, "an aggregation", AGGREGATIONS))
        .unwrap_or_default();
    let timeout_per_agent_ms =
        fields.get("timeout_per_agent").and_then(|at| reader.duration_ms(&at));
    let max_parallel = fields.get("max_parallel").and_then(|at| reader.whole32(&at, 1..=u32::MAX));
    Some(Coordinator::FanOut { agents: agents?, aggregation, timeout_per_agent_ms, max_parallel })
}

fn workflow(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    let fields = reader.object(at, &["type", "start", "max_messages", "graph"])?;
    let max_messages = fields
        .get("max_messages")
        .and_then(|at| reader.whole32(&at, 1..=Coordinator::LARGEST_MAX_MESSAGES))
        .unwrap_or(Coordinator::DEFAULT_MAX_MESSAGES);
    let graph_at = fields.require(reader, "graph", "write graph: { first: {} }")?;
    let entries = reader.entries(&graph_at)?;
    if entries.is_empty() {
        reader.report(&graph_at, "the graph has no node");
    } else if entries.len() > MAX_NODES {
        reader.report(&graph_at, format!("the graph has more than {MAX_NODES} nodes"));
        return None;
    }
    let node_names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let mut graph = BTreeMap::new();
    for entry in entries {
        let field = field_of(&graph_at, entry);
        if names::is_slug(&entry.key) {
            if let Some(node) = node(reader, &field, &entry.key, &node_names) {
                graph.insert(entry.key.clone(), node);
            }
        } else {
            let message = format!("{:?} cannot be the name of a node", entry.key);
            let hint = Some(names::SLUG_HINT.to_owned());
            reader.report_at(entry.key_place, &field.path, message, hint);
        }
    }
    let start = match fields.get("start") {
        None => (*node_names.first()?).to_owned(),
        Some(at) => node_name(reader, &at, &node_names, &[])?,
    };
    Some(Coordinator::Workflow { start, max_messages, graph })
}

fn node(reader: &mut Reader, at: &At<'_>, name: &str, nodes: &[&str]) -> Option<Node> {
    if matches!(at.node.kind, Kind::Null) {
        return Some(Node { agent: name.to_owned(), outputs_to: Vec::new() });
    }
    let fields = reader.object(at, &["agent", "outputs_to"])?;
    let agent = fields.get("agent").map_or_else(|| Some(name.to_owned()), |at| agent(reader, &at));
    let mut outputs_to = Vec::new();
    if let Some(at) = fields.get("outputs_to") {
        let items = reader.list(&at);
        outputs_to = items.iter().filter_map(|item| edge(reader, item, nodes)).collect();
    }
    Some(Node { agent: agent?, outputs_to })
}

/// A node's name alone, or a mapping with a condition.
fn edge(reader: &mut Reader, at: &At<'_>, nodes: &[&str]) -> Option<Edge> {
    let roles = Coordinator::ROLES;
    if matches!(at.node.kind, Kind::Text { .. }) {
        return Some(Edge { to: node_name(reader, at, nodes, &roles)?, when_type: None });
    }
    let fields = reader.object(at, &["to", "when"])?;
    let to = fields
        .require(reader, "to", "write to: and the name of a node")
        .and_then(|at| node_name(reader, &at, nodes, &roles));
    let when_type = fields.get("when").and_then(|at| {
        let when = reader.object(&at, &["type"])?;
        let at = when.require(reader, "type", "write type: RESULT")?;
        reader.choice(&at, "a type of message", MESSAGE_TYPES)
    });
    Some(Edge { to: to?, when_type })
}

fn node_name(reader: &mut Reader, at: &At<'_>, nodes: &[&str], roles: &[&str]) -> Option<String> {
    let name = reader.text(at)?;
    if nodes.contains(&name.as_str()) || roles.contains(&name.as_str()) {
        return Some(name);
    }
    let all = || nodes.iter().chain(roles).copied();
    let hint = match closest(&name, all()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("one of: {}", all().collect::<Vec<_>>().join(", ")),
    };
    reader.report_hint(at, format!("{name:?} is not a node of the graph"), hint);
    None
}
