//! Coordinators and handoffs.

mod graph;
mod member;
mod when;
mod workflow;

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::coordination::{
    Aggregation, Chain, DEFAULT_MAX_MESSAGES, FanOut, Link, OnFailure, Pattern, Reference,
};
use errand_model::template;
use serde_json::Value;

use super::super::coordinator::{Coordinator, Member};
use super::super::reader::{At, Object, Reader};
use super::super::yaml::Kind;
use super::process::variant;

pub(super) use member::handoffs;

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

const ON_FAILURE: &[(&str, OnFailure)] =
    &[("fail", OnFailure::Fail), ("ignore", OnFailure::Ignore)];

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    match variant(reader, at, "type", "a coordinator", COORDINATORS)? {
        Type::Chain => chain(reader, at),
        Type::FanOut => fan_out(reader, at),
        Type::Workflow => workflow::read(reader, at),
    }
}

fn chain(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    let fields = reader.object(at, &["type", "agents", "max_messages"])?;
    let max_messages = max_messages(reader, &fields);
    let named = member::list(reader, &fields, &["agent", "name", "input"])?;
    let names: Vec<&str> = named.iter().map(|named| named.name.as_str()).collect();
    let mut links = Vec::with_capacity(named.len());
    for named in &named {
        let input = named.fields.as_ref().and_then(|fields| input(reader, fields, &names));
        links.push(Link { name: named.name.clone(), input });
    }
    let agents = named.into_iter().map(|named| (named.name, named.member)).collect();
    Some(Coordinator { agents, pattern: Pattern::Chain(Chain { links, max_messages }) })
}

fn fan_out(reader: &mut Reader, at: &At<'_>) -> Option<Coordinator> {
    let known = [
        "type",
        "agents",
        "partition",
        "aggregation",
        "timeout_per_agent",
        "max_parallel",
        "on_failure",
    ];
    let fields = reader.object(at, &known)?;
    let named = member::list(reader, &fields, &["agent", "name"]);
    let partition = fields.get("partition").and_then(|at| reader.text(&at));
    let aggregation = fields
        .get("aggregation")
        .and_then(|at| reader.choice(&at, "an aggregation", AGGREGATIONS))
        .unwrap_or_default();
    let timeout = fields.get("timeout_per_agent").and_then(|at| reader.duration_ms(&at));
    let max_parallel = fields.get("max_parallel").and_then(|at| reader.whole32(&at, 1..=u32::MAX));
    // How many children there will be is known only where the input is not partitioned.
    let most = named.as_ref().filter(|_| partition.is_none()).map(Vec::len);
    let on_failure =
        fields.get("on_failure").and_then(|at| on_failure(reader, &at, most)).unwrap_or_default();
    let named = named?;
    let members = named.iter().map(|named| named.name.clone()).collect();
    let agents = named.into_iter().map(|named| (named.name, named.member)).collect();
    let pattern = Pattern::FanOut(FanOut {
        members,
        partition,
        aggregation,
        timeout_per_agent: timeout.map(Duration::from_millis),
        max_parallel,
        on_failure,
    });
    Some(Coordinator { agents, pattern })
}

/// `fail`, `ignore`, or a mapping with how many have to succeed.
fn on_failure(reader: &mut Reader, at: &At<'_>, most: Option<usize>) -> Option<OnFailure> {
    if !matches!(at.node.kind, Kind::Map(_)) {
        let what = "what a failure means";
        let choice = reader.choice(at, what, ON_FAILURE);
        if let (None, Some(last)) = (choice, reader.problems.last_mut()) {
            let also = "one of: fail, ignore; or write { min_success: 2 }";
            last.hint = Some(also.to_owned());
        }
        return choice;
    }
    let fields = reader.object(at, &["min_success"])?;
    let at = fields.require(reader, "min_success", "write min_success: and how many")?;
    let count = reader.whole32(&at, 1..=u32::MAX)?;
    if let Some(most) = most
        && usize::try_from(count).is_ok_and(|count| count > most)
    {
        reader.report(&at, format!("{count} can never succeed: there are {most} agents"));
    }
    Some(OnFailure::MinSuccess(count))
}

/// The bound on messages.
fn max_messages(reader: &mut Reader, fields: &Object<'_>) -> u32 {
    fields
        .get("max_messages")
        .and_then(|at| reader.whole32(&at, 1..=Coordinator::LARGEST_MAX_MESSAGES))
        .unwrap_or(DEFAULT_MAX_MESSAGES)
}

/// The template `input` of an agent; it may refer to the outputs of `names`.
fn input(reader: &mut Reader, fields: &Object<'_>, names: &[&str]) -> Option<Value> {
    let at = fields.get("input")?;
    let template = reader.json(&at)?;
    templates(reader, &at, names);
    Some(template)
}

/// Checks every string of a template at its own place.
fn templates(reader: &mut Reader, at: &At<'_>, names: &[&str]) {
    match &at.node.kind {
        Kind::Text { text } => {
            let known = |written: &str| match Reference::parse(written)? {
                Reference::OutputOf { name, .. } if !names.contains(&name.as_str()) => {
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
            for item in reader.list(at) {
                templates(reader, &item, names);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                templates(reader, &super::super::reader::field_of(at, entry), names);
            }
        }
        Kind::Null | Kind::Bool { .. } | Kind::Number { .. } => {}
    }
}

/// Agents by the names that the file has for them.
type Members = BTreeMap<String, Member>;
