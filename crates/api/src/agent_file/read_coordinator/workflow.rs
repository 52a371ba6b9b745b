//! Workflows: nodes and edges.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::coordination::DEFAULT_MAX_MESSAGES;
use errand_model::event::MessageType;
use errand_model::plan::{Edge, Node, Pattern, ROLES, Workflow};
use serde_json::{Map, Value, json};

use super::super::at::{At, field_of};
use super::super::coordinator::{Coordinator, Member};
use super::super::known::FileReference;
use super::super::names;
use super::super::reader::Reader;
use super::super::shape::{Shape, value_of};
use super::super::suggest::closest;
use super::super::written::NodeForm;
use super::super::yaml::{Entry, Kind};
use super::{Members, graph, member};

/// Reads the nodes of a graph. One that cannot be read is left out.
pub(super) fn read_graph(
    shape: &Shape,
    reader: &mut Reader,
    at: &At<'_>,
    _: &Value,
) -> Option<Value> {
    let entries = reader.entries(at)?;
    if entries.is_empty() {
        reader.report(at, "the graph has no node");
    }
    member::bound(reader, at, entries.len());
    let mut nodes = Map::new();
    for entry in entries {
        let field = field_of(at, entry);
        if !names::is_member_name(&entry.key) {
            let message = format!("{:?} cannot be the name of a node", entry.key);
            let hint = Some(names::MEMBER_HINT.to_owned());
            reader.report_at(entry.key_place, &field.path, message, hint);
        }
        if (field.is_map() && field.field("agent").is_none()) || is_empty(&field) {
            refer_to_agent_of_that_name(reader, &field, entry);
        }
        let node = match is_empty(&field) {
            true => Some(json!({})),
            false => shape.read(reader, &field, shape.definition("Node")),
        };
        nodes.extend(node.map(|node| (entry.key.clone(), node)));
    }
    Some(Value::Object(nodes))
}

const fn is_empty(node: &At<'_>) -> bool {
    matches!(node.node.kind, Kind::Null)
}

/// Notes the agent of a node that names none: it has the node's name.
fn refer_to_agent_of_that_name(reader: &mut Reader, at: &At<'_>, entry: &Entry) {
    if names::is_agent_name(&entry.key) {
        reader.refers_to_at(entry.key_place, &at.path, FileReference::Agent(entry.key.clone()));
    } else {
        let message = format!("no agent can have the name {:?}", entry.key);
        let hint = Some("write agent: and its name or path".to_owned());
        reader.report_at(entry.key_place, &at.path, message, hint);
    }
}

/// The definition of a workflow. Problems of the graph as a whole are reported.
pub(super) fn definition(
    reader: &mut Reader,
    at: &At<'_>,
    start: Option<String>,
    max_messages: Option<u32>,
    mut forms: BTreeMap<String, NodeForm>,
) -> Option<Coordinator> {
    let graph_at = at.field("graph")?;
    let (mut agents, mut nodes, mut open) = (Members::new(), BTreeMap::new(), BTreeSet::new());
    for entry in reader.entries(&graph_at)? {
        let form = forms.remove(&entry.key);
        let edges = field_of(&graph_at, entry).field("outputs_to");
        let read = form.as_ref().map_or(0, |form| form.outputs_to.len());
        if form.is_none() || edges.is_some_and(|at| at.items().len() != read || !at.is_list()) {
            open.insert(entry.key.as_str());
        }
        let NodeForm { agent, outputs_to, join, max_runs, input } = form.unwrap_or_default();
        let agent = agent.unwrap_or_else(|| entry.key.clone());
        agents.insert(entry.key.clone(), Member { agent, digest: None });
        nodes.insert(entry.key.clone(), Node { outputs_to, join, max_runs, input });
    }
    let first = reader.members.first()?.clone();
    let known = graph::Knowledge {
        is_start_known: start.is_some() || at.field("start").is_none(),
        open,
        has_max: at.field("max_messages").is_some(),
    };
    let max_messages = max_messages.unwrap_or(DEFAULT_MAX_MESSAGES);
    let workflow = Workflow { start: start.unwrap_or(first), max_messages, nodes };
    graph::check(reader, &graph_at, &workflow, &known);
    Some(Coordinator { agents, pattern: Pattern::Workflow(workflow) })
}

/// Reads the edges of a node, each a mapping. One that cannot be read is left out.
pub(super) fn read_edges(
    shape: &Shape,
    reader: &mut Reader,
    at: &At<'_>,
    _: &Value,
) -> Option<Value> {
    let mut read: Vec<(At<'_>, Edge)> = Vec::new();
    for item in reader.checked_list(at)? {
        let edge = if item.is_map() {
            shape.read(reader, &item, shape.definition("Outcome"))
        } else {
            edge_target(reader, &item).map(|to| json!({ "to": to }))
        };
        let edge = edge.and_then(|edge| value_of(reader, &item, edge));
        read.extend(edge.map(|edge| (item, edge)));
    }
    for (index, (item, edge)) in read.iter().enumerate() {
        let others = || read.iter().map(|(_, other)| other).filter(|other| other.to == edge.to);
        if read[..index].iter().any(|(_, other)| other == edge) {
            reader.report(item, format!("{:?} is listed twice", edge.to));
        } else if edge.when.as_ref().is_some_and(|when| when.kind != Some(MessageType::Error))
            && others().any(|other| other.when.is_none())
        {
            let message = format!("{:?} is also listed without a condition", edge.to);
            reader.report_hint(item, message, "a message would take both edges: remove one");
        }
    }
    let edges: Vec<Edge> = read.into_iter().map(|(_, edge)| edge).collect();
    serde_json::to_value(edges).ok()
}

/// Reads the name of a node.
pub(super) fn node_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    name_of(reader, at, &[])
}

/// Reads the name of a node or role.
pub(super) fn edge_target(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    name_of(reader, at, &ROLES)
}

/// Reads a name. One that there is not is reported and taken for the one that was probably meant,
/// so that its other problems can be told at once.
fn name_of(reader: &mut Reader, at: &At<'_>, roles: &[&str]) -> Option<String> {
    let name = reader.text(at)?;
    let names = reader.members.iter().map(String::as_str).chain(roles.iter().copied());
    let names: Vec<&str> = names.collect();
    if names.contains(&name.as_str()) {
        return Some(name);
    }
    let meant = closest(&name, names.iter().copied()).map(str::to_owned);
    let hint = match &meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("one of: {}", names.join(", ")),
    };
    reader.report_hint(at, format!("{name:?} is not a node of the graph"), hint);
    meant
}
