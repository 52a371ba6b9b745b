//! Reads coordinators and handoffs into the JSON of their definitions.

mod graph;
mod member;
mod when;
mod workflow;

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::coordination::{DEFAULT_MAX_MESSAGES, Reference};
use errand_model::plan::{Chain, FanOut, Link, OnFailure, Pattern};
use errand_model::template;
use serde_json::Value;

use super::at::{At, field_of};
use super::coordinator::{Coordinator, Member};
use super::reader::Reader;
use super::shape::{ReadNamed, Shape};
use super::written::{CoordinatorForm, NamedMember};
use super::yaml::Kind;

/// Agents by the names that the file has for them.
type Members = BTreeMap<String, Member>;

/// The function that reads the type of that name in the schema.
pub(super) fn reader_of(name: &str) -> Option<ReadNamed> {
    Some(match name {
        "Coordinator" => read,
        "Handoffs" => handoffs,
        "Links" => |shape, reader, at, _| member::read_list(shape, reader, at, "NamedLink"),
        "Members" => |shape, reader, at, _| member::read_list(shape, reader, at, "NamedMember"),
        "AgentReference" => |_, reader, at, _| member::agent(reader, at).map(Value::from),
        "MemberName" => |_, reader, at, _| member::name(reader, at).map(Value::from),
        "Graph" => workflow::read_graph,
        "NodeName" => |_, reader, at, _| workflow::node_name(reader, at).map(Value::from),
        "Edges" => workflow::read_edges,
        "EdgeTarget" => |_, reader, at, _| workflow::edge_target(reader, at).map(Value::from),
        "When" => when::read,
        "Conditions" => when::read_conditions,
        "Ordered" => |_, reader, at, _| when::read_ordered(reader, at),
        "Template" => template_of,
        _ => return None,
    })
}

fn read(shape: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    reader.members = member::names_in(at);
    let form = shape.read_as(reader, at, shape.root())?;
    let coordinator = match form {
        CoordinatorForm::Chain { agents, max_messages } => {
            let max_messages = max_messages.unwrap_or(DEFAULT_MAX_MESSAGES);
            let mut members = Members::new();
            let mut links = Vec::with_capacity(agents.len());
            for link in agents {
                members.insert(link.name.clone(), Member { agent: link.agent, digest: None });
                links.push(Link { name: link.name, input: link.input });
            }
            Coordinator { agents: members, pattern: Pattern::Chain(Chain { links, max_messages }) }
        }
        CoordinatorForm::FanOut {
            agents,
            partition,
            aggregation,
            timeout_per_agent,
            max_parallel,
            on_failure,
        } => {
            // How many children there will be is known only where the input is not partitioned.
            if partition.is_none() {
                check_least(reader, at, on_failure);
            }
            let pattern = Pattern::FanOut(FanOut {
                members: agents.iter().map(|member| member.name.clone()).collect(),
                partition,
                aggregation,
                timeout_per_agent: timeout_per_agent.map(Duration::from_millis),
                max_parallel,
                on_failure,
            });
            Coordinator { agents: by_name(agents), pattern }
        }
        CoordinatorForm::Workflow { start, max_messages, graph } => {
            workflow::definition(reader, at, start, max_messages, graph)?
        }
    };
    serde_json::to_value(coordinator).ok()
}

fn handoffs(shape: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    let agents = member::read_items(shape, reader, at, "NamedMember")?;
    let agents = super::shape::value_of(reader, at, Value::Array(agents))?;
    serde_json::to_value(by_name(agents)).ok()
}

fn by_name(agents: Vec<NamedMember>) -> Members {
    let member = |it: NamedMember| (it.name, Member { agent: it.agent, digest: None });
    agents.into_iter().map(member).collect()
}

/// Reports that more agents are to succeed than there are.
fn check_least(reader: &mut Reader, at: &At<'_>, on_failure: OnFailure) {
    let OnFailure::MinSuccess(least) = on_failure else { return };
    let agents = at.field("agents").map_or(0, |at| at.items().len());
    if let Some(field) = at.field("on_failure").and_then(|at| at.field("min_success"))
        && usize::try_from(least).is_ok_and(|least| least > agents)
    {
        let message = format!("{least} can never succeed: there are {agents} agents");
        reader.report(&field, message);
    }
}

/// Reads a template; it may refer to the outputs of the coordinator's agents.
fn template_of(_: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    let template = reader.json(at)?;
    check_template(reader, at);
    Some(template)
}

/// Checks every string of a template at its own place.
fn check_template(reader: &mut Reader, at: &At<'_>) {
    match &at.node.kind {
        Kind::Text { text } => {
            let known = |written: &str| match Reference::parse(written)? {
                Reference::OutputOf { name, .. } if !reader.members.contains(&name) => {
                    Err(format!("{written:?}: no agent here has the name {name:?}"))
                }
                Reference::OutputOf { .. }
                | Reference::Input(_)
                | Reference::Output(_)
                | Reference::From
                | Reference::Type => Ok(()),
            };
            if let Err(error) = template::check(&Value::String(text.clone()), known) {
                reader.report(at, format!("the template cannot be read: {}", error.reason));
            }
        }
        Kind::List(_) => {
            for item in at.items() {
                check_template(reader, &item);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                check_template(reader, &field_of(at, entry));
            }
        }
        Kind::Null | Kind::Bool { .. } | Kind::Number { .. } => {}
    }
}
