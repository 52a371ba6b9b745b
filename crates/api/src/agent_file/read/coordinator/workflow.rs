//! Workflows: nodes and edges.

use std::collections::BTreeMap;

use errand_model::coordination::{Edge, Join, Node, Pattern, ROLES, Workflow};
use errand_model::event::MessageType;

use super::super::super::coordinator::{Coordinator, Member};
use super::super::super::reader::{At, Object, Reader, field_of};
use super::super::super::suggest::closest;
use super::super::super::yaml::{Entry, Kind};
use super::super::names;
use super::{Members, graph, input, max_messages, member, when};

const JOINS: &[(&str, Join)] = &[("any", Join::Any), ("all", Join::All)];

/// The most often that a node may be said to run at most.
const LARGEST_MAX_RUNS: u32 = Coordinator::LARGEST_MAX_MESSAGES;

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    let fields = reader.object(at, &["type", "start", "max_messages", "graph"])?;
    let max_messages = max_messages(reader, &fields);
    let graph_at = fields.require(reader, "graph", "write graph: { first: {} }")?;
    let entries = reader.entries(&graph_at)?;
    if entries.is_empty() {
        reader.report(&graph_at, "the graph has no node");
    }
    member::bound(reader, &graph_at, entries.len());
    let names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let before = reader.problems.len();
    let (mut agents, mut nodes) = (Members::new(), BTreeMap::new());
    for entry in entries {
        let field = field_of(&graph_at, entry);
        if !names::is_member_name(&entry.key) {
            let message = format!("{:?} cannot be the name of a node", entry.key);
            let hint = Some(names::MEMBER_HINT.to_owned());
            reader.report_at(entry.key_place, &field.path, message, hint);
        } else if let Some((member, node)) = node(reader, &field, entry, &names) {
            agents.insert(entry.key.clone(), member);
            nodes.insert(entry.key.clone(), node);
        }
    }
    let start = match fields.get("start") {
        None => (*names.first()?).to_owned(),
        Some(at) => node_name(reader, &at, &names, &[])?,
    };
    let workflow = Workflow { start, max_messages, nodes };
    if reader.problems.len() == before {
        let is_bounded = fields.get("max_messages").is_some();
        graph::check(reader, &graph_at, &workflow, is_bounded);
    }
    Some(Coordinator { agents, pattern: Pattern::Workflow(workflow) })
}

fn node(reader: &mut Reader, at: &At<'_>, entry: &Entry, names: &[&str]) -> Option<(Member, Node)> {
    let fields = match &at.node.kind {
        Kind::Null => None,
        Kind::Bool { .. }
        | Kind::Number { .. }
        | Kind::Text { .. }
        | Kind::List(_)
        | Kind::Map(_) => {
            Some(reader.object(at, &["agent", "outputs_to", "join", "max_runs", "input"])?)
        }
    };
    let agent = match fields.as_ref().and_then(|fields| fields.get("agent")) {
        Some(at) => member::agent(reader, &at),
        None => agent_of_that_name(reader, at, entry),
    };
    let node = fields.map(|fields| rest(reader, &fields, names)).unwrap_or_default();
    Some((Member { agent: agent?, digest: None }, node))
}

/// The agent of a node that names none: it has the node's name.
fn agent_of_that_name(reader: &mut Reader, at: &At<'_>, entry: &Entry) -> Option<String> {
    if !names::is_dns_label(&entry.key) {
        let message = format!("no agent can have the name {:?}", entry.key);
        let hint = Some("write agent: and its name or path".to_owned());
        reader.report_at(entry.key_place, &at.path, message, hint);
        return None;
    }
    reader.names_agent_at(entry.key_place, &at.path, &entry.key);
    Some(entry.key.clone())
}

fn rest(reader: &mut Reader, fields: &Object<'_>, names: &[&str]) -> Node {
    let outputs_to = fields.get("outputs_to").map(|at| edges(reader, &at, names));
    let join = fields.get("join").and_then(|at| reader.choice(&at, "a join", JOINS));
    let max_runs = fields.get("max_runs").and_then(|at| reader.whole32(&at, 1..=LARGEST_MAX_RUNS));
    Node {
        outputs_to: outputs_to.unwrap_or_default(),
        join: join.unwrap_or_default(),
        max_runs,
        input: input(reader, fields, names),
    }
}

fn edges(reader: &mut Reader, at: &At<'_>, names: &[&str]) -> Vec<Edge> {
    let items = reader.list(at);
    let read = items.iter().map(|item| (item, edge(reader, item, names)));
    let read: Vec<_> = read.filter_map(|(item, edge)| Some((item, edge?))).collect();
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
    read.into_iter().map(|(_, edge)| edge).collect()
}

/// A node's name alone, or a mapping with a condition.
fn edge(reader: &mut Reader, at: &At<'_>, names: &[&str]) -> Option<Edge> {
    if matches!(at.node.kind, Kind::Text { .. }) {
        return Some(Edge { to: node_name(reader, at, names, &ROLES)?, when: None });
    }
    let fields = reader.object(at, &["to", "when"])?;
    let to = fields
        .require(reader, "to", "write to: and the name of a node")
        .and_then(|at| node_name(reader, &at, names, &ROLES));
    let when = fields.get("when").and_then(|at| when::read(reader, &at));
    Some(Edge { to: to?, when })
}

fn node_name(reader: &mut Reader, at: &At<'_>, names: &[&str], roles: &[&str]) -> Option<String> {
    let name = reader.text(at)?;
    if names.contains(&name.as_str()) || roles.contains(&name.as_str()) {
        return Some(name);
    }
    let all = || names.iter().chain(roles).copied();
    let hint = match closest(&name, all()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("one of: {}", all().collect::<Vec<_>>().join(", ")),
    };
    reader.report_hint(at, format!("{name:?} is not a node of the graph"), hint);
    None
}
