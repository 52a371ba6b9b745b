//! From the tree to the definition, one file per area.

mod budgets;
mod coordinator;
mod json_schema;
mod limits;
mod listen;
mod metadata;
mod model;
mod names;
mod process;
mod promises;
pub(crate) mod quantity;
mod schedules;
mod whole;

pub(crate) use quantity::{micro_usd, parse_micro_usd};
pub use quantity::{parse_cpu_millis, parse_memory_bytes};

use super::definition::{API_VERSION, Agent, KIND};
use errand_model::event::ServiceRestart;

use super::known::Known;
use super::problem::Problem;
use super::reader::{At, Object, Reader};
use super::yaml::{Kind, Node};

const ROOT_FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec"];

/// Every field of `spec`.
pub(super) const SPEC_FIELDS: &[&str] = &[
    "description",
    "harness",
    "command",
    "target",
    "workspace",
    "model",
    "skills",
    "configs",
    "secrets",
    "env",
    "tools",
    "mcp_servers",
    "tier",
    "dependencies",
    "input_schema",
    "output_schema",
    "resources",
    "concurrency",
    "timeouts",
    "retry_policy",
    "budgets",
    "policies",
    "schedules",
    "listen",
    "restart",
    "coordinator",
    "handoffs",
];

const RESTART: &[(&str, ServiceRestart)] = &[
    ("always", ServiceRestart::Always),
    ("on_failure", ServiceRestart::OnFailure),
    ("no", ServiceRestart::No),
];

/// The agent that `root` defines, or everything that is wrong with it. What it refers to is held
/// against what `known` knows of it.
pub(super) fn agent(root: &Node, known: &mut Known<'_>) -> Result<Agent, Vec<Problem>> {
    let mut reader = Reader::default();
    let agent = document(&mut reader, &At { node: root, path: String::new() });
    for placed in std::mem::take(&mut reader.references) {
        if let Err(unknown) = known(&placed.reference) {
            let before = reader.problems.len();
            reader.report_at(placed.place, &placed.path, unknown.message, unknown.hint);
            for problem in &mut reader.problems[before..] {
                problem.kind = unknown.kind;
            }
        }
    }
    match agent {
        Some(agent) if reader.problems.is_empty() => Ok(agent),
        Some(_) | None => Err(reader.problems),
    }
}

/// The tree as JSON.
pub(super) fn json(root: &Node) -> Result<serde_json::Value, Vec<Problem>> {
    let mut reader = Reader::default();
    let json = reader.json(&At { node: root, path: String::new() });
    json.ok_or(reader.problems)
}

fn document(reader: &mut Reader, root: &At<'_>) -> Option<Agent> {
    let fields = root_object(reader, root)?;
    if let Some(at) = fields.require(reader, "apiVersion", "write apiVersion: errand.dev/v1") {
        constant(reader, &at, API_VERSION);
    }
    if let Some(at) = fields.require(reader, "kind", "write kind: Agent") {
        constant(reader, &at, KIND);
    }
    let mut agent = Agent::default();
    if let Some(at) = fields.require(reader, "metadata", "write metadata: { name: my-agent }") {
        metadata::read(reader, &at, &mut agent);
    }
    let spec_hint = "write spec: { command: [python3, main.py] }";
    if let Some(at) = fields.require(reader, "spec", spec_hint)
        && let Some(spec) = reader.object(&at, SPEC_FIELDS)
    {
        read_spec(reader, &spec, &mut agent);
        promises::check(reader, &spec, &agent);
        whole::check(reader, &at, &spec, &agent);
    }
    Some(agent)
}

/// Like any object, but a field that belongs into `spec` or `metadata` is told so.
fn root_object<'a>(reader: &mut Reader, root: &At<'a>) -> Option<Object<'a>> {
    let before = reader.problems.len();
    let fields = reader.object(root, ROOT_FIELDS)?;
    for problem in &mut reader.problems[before..] {
        if SPEC_FIELDS.contains(&problem.path.as_str()) {
            problem.hint = Some("it belongs under spec".to_owned());
        } else if metadata::FIELDS.contains(&problem.path.as_str()) {
            problem.hint = Some("it belongs under metadata".to_owned());
        }
    }
    Some(fields)
}

fn constant(reader: &mut Reader, at: &At<'_>, expected: &str) {
    match &at.node.kind {
        Kind::Text { text } if text == expected => {}
        kind @ (Kind::Null
        | Kind::Bool { .. }
        | Kind::Number { .. }
        | Kind::Text { .. }
        | Kind::List(_)
        | Kind::Map(_)) => {
            let found = super::reader::describe(kind);
            reader.report_hint(
                at,
                format!("expected {expected}, found {found}"),
                format!("this version of errand reads {expected} only"),
            );
        }
    }
}

fn read_spec(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    if let Some(at) = spec.get("description") {
        agent.description = reader.text(&at);
    }
    process::read(reader, spec, agent);
    model::read(reader, spec, agent);
    limits::read(reader, spec, agent);
    budgets::read(reader, spec, agent);
    if let Some(at) = spec.get("input_schema") {
        agent.input_schema = json_schema::read(reader, &at);
    }
    if let Some(at) = spec.get("output_schema") {
        agent.output_schema = json_schema::read(reader, &at);
    }
    if let Some(at) = spec.get("schedules") {
        agent.schedules = schedules::read(reader, &at);
    }
    if let Some(at) = spec.get("listen") {
        agent.listen = listen::read(reader, &at);
    }
    if let Some(at) = spec.get("restart") {
        agent.restart = reader.choice(&at, "when a service comes back", RESTART);
    }
    agent.coordinator = spec.get("coordinator").and_then(|at| coordinator::read(reader, &at));
    if let Some(at) = spec.get("handoffs") {
        agent.handoffs = coordinator::handoffs(reader, &at);
    }
}
