//! Workflows: nodes and edges.

use std::collections::{BTreeMap, BTreeSet};

use errand_model::coordination::{Edge, Join, Node, Pattern, ROLES, Workflow};
use errand_model::event::MessageType;

use super::super::super::coordinator::{Coordinator, Member};
use super::super::super::known::Reference;
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
    let (mut agents, mut nodes) = (Members::new(), BTreeMap::new());
    let mut open = BTreeSet::new();
    for entry in entries {
        let field = field_of(&graph_at, entry);
        if !names::is_member_name(&entry.key) {
            let message = format!("{:?} cannot be the name of a node", entry.key);
            let hint = Some(names::MEMBER_HINT.to_owned());
            reader.report_at(entry.key_place, &field.path, message, hint);
        }
        let read = node(reader, &field, entry, &names);
        if read.has_unknown_edges {
            open.insert(entry.key.as_str());
        }
        agents.extend(read.member.map(|member| (entry.key.clone(), member)));
        nodes.insert(entry.key.clone(), read.node);
    }
    let first = names.first()?;
    let start = match fields.get("start") {
        None => Some((*first).to_owned()),
        Some(at) => node_name(reader, &at, &names, &[]),
    };
    let is_start_known = start.is_some();
    let start = start.unwrap_or_else(|| (*first).to_owned());
    let workflow = Workflow { start, max_messages, nodes };
    let has_max = fields.get("max_messages").is_some();
    let known = graph::Knowledge { is_start_known, open, has_max };
    graph::check(reader, &graph_at, &workflow, &known);
    Some(Coordinator { agents, pattern: Pattern::Workflow(workflow) })
}

/// A node as far as it could be read.
#[derive(Default)]
struct ReadNode {
    member: Option<Member>,
    node: Node,
    /// Whether it has edges of which nothing is known.
    has_unknown_edges: bool,
}

fn node(reader: &mut Reader, at: &At<'_>, entry: &Entry, names: &[&str]) -> ReadNode {
    let known = ["agent", "outputs_to", "join", "max_runs", "input"];
    let fields = match &at.node.kind {
        Kind::Null => None,
        Kind::Bool { .. }
        | Kind::Number { .. }
        | Kind::Text { .. }
        | Kind::List(_)
        | Kind::Map(_) => match reader.object(at, &known) {
            Some(fields) => Some(fields),
            None => return ReadNode { has_unknown_edges: true, ..ReadNode::default() },
        },
    };
    let agent = match fields.as_ref().and_then(|fields| fields.get("agent")) {
        Some(at) => member::agent(reader, &at),
        None => agent_of_that_name(reader, at, entry),
    };
    let (node, has_unknown_edges) =
        fields.map(|fields| rest(reader, &fields, names)).unwrap_or_default();
    let member = agent.map(|agent| Member { agent, digest: None });
    ReadNode { member, node, has_unknown_edges }
}

/// The agent of a node that names none: it has the node's name.
fn agent_of_that_name(reader: &mut Reader, at: &At<'_>, entry: &Entry) -> Option<String> {
    if !names::is_agent_name(&entry.key) {
        let message = format!("no agent can have the name {:?}", entry.key);
        let hint = Some("write agent: and its name or path".to_owned());
        reader.report_at(entry.key_place, &at.path, message, hint);
        return None;
    }
    reader.refers_to_at(entry.key_place, &at.path, Reference::Agent(entry.key.clone()));
    Some(entry.key.clone())
}

/// The node, and whether some of its edges could not be read.
fn rest(reader: &mut Reader, fields: &Object<'_>, names: &[&str]) -> (Node, bool) {
    let (outputs_to, has_unknown_edges) =
        fields.get("outputs_to").map(|at| edges(reader, &at, names)).unwrap_or_default();
    let join = fields.get("join").and_then(|at| reader.choice(&at, "a join", JOINS));
    let max_runs = fields.get("max_runs").and_then(|at| reader.whole32(&at, 1..=LARGEST_MAX_RUNS));
    let input = input(reader, fields, names);
    (Node { outputs_to, join: join.unwrap_or_default(), max_runs, input }, has_unknown_edges)
}

/// The edges, and whether some could not be read.
fn edges(reader: &mut Reader, at: &At<'_>, names: &[&str]) -> (Vec<Edge>, bool) {
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
    let is_list = matches!(at.node.kind, Kind::List(_));
    let has_unknown = !is_list || read.len() < items.len();
    (read.into_iter().map(|(_, edge)| edge).collect(), has_unknown)
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

/// The name of a node or role. One that there is not is reported and taken for the one that was
/// probably meant, so that its other problems can be told at once.
fn node_name(reader: &mut Reader, at: &At<'_>, names: &[&str], roles: &[&str]) -> Option<String> {
    let name = reader.text(at)?;
    if names.contains(&name.as_str()) || roles.contains(&name.as_str()) {
        return Some(name);
    }
    let all = || names.iter().chain(roles).copied();
    let meant = closest(&name, all());
    let hint = match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("one of: {}", all().collect::<Vec<_>>().join(", ")),
    };
    reader.report_hint(at, format!("{name:?} is not a node of the graph"), hint);
    meant.map(str::to_owned)
}
