//! The file as a whole, and its way to the definition.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::at::At;
use super::definition::{API_VERSION, Agent, AgentSchedule, KIND, TargetKind, Workspace};
use super::inventory::{DependencyForm, Model, ToolForm};
use super::known::Known;
use super::limits::{AgentResources, AgentTimeouts, Budgets};
use super::listen::one_or_many::Listeners;
use super::mcp_server::McpServer;
use super::observability::Observability;
use super::policy::PolicyRules;
use super::problem::AgentFileProblem;
use super::providers::Providers;
use super::reader::Reader;
use super::replay::AgentReplay;
use super::retry::{DispatchRetryForm, RetryPolicyForm};
use super::scalar::{AgentName, Labels, SemanticVersion};
use super::shape::{ReadNamed, Shape, Types, value_of};
use super::written::{CoordinatorForm, Handoffs};
use super::yaml::Node;
use super::{
    capability, command_files, kubernetes, mcp_server, read_coordinator, retry, sandbox, scalar,
    whole,
};

/// An agent: a named, versioned definition of what errand runs.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(example = example())]
pub struct AgentFile {
    /// The version of this format.
    #[schemars(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// Kind of the definition.
    pub kind: AgentKind,
    /// Name and description.
    #[schemars(extend("examples" = [{ "name": "my-agent" }]))]
    pub metadata: Metadata,
    /// Definition of the agent.
    #[schemars(extend("examples" = [{ "command": ["python3", "main.py"] }]))]
    pub spec: Agent,
}

fn example() -> Value {
    serde_json::json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": "hello", "version": "1.0.0" },
        "spec": { "command": ["python3", "hello.py"], "timeouts": { "run": "10m" } }
    })
}

/// The version of this format.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[schemars(rename = "errand.dev/v1")]
    V1,
}

/// Kind of the definition.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename = "Kind")]
pub enum AgentKind {
    /// An agent.
    Agent,
}

/// Name and description of the agent: the first fields of the definition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Metadata {
    /// Lower-case letters, digits, `-` and `_`, a letter or digit first and last.
    pub name: AgentName,
    /// A semantic version; `0.0.0` if left out.
    pub version: Option<SemanticVersion>,
    /// Words to filter runs by. Every run of the agent carries them.
    pub labels: Option<Labels>,
}

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of::<AgentFile>(TYPES));

const TYPES: Types = Types { reader_of, section };

macro_rules! sections {
    ($($name:literal = $type:ty;)*) => {
        /// Returns the shape of the section of that name.
        fn section(name: &str) -> Option<&'static Shape> {
            match name {
                $($name => {
                    static SECTION: LazyLock<Shape> = LazyLock::new(|| Shape::of::<$type>(TYPES));
                    Some(&SECTION)
                })*
                _ => None,
            }
        }
    };
}

sections! {
    "Target" = TargetKind;
    "Workspace" = Workspace;
    "Model" = Model;
    "Providers" = Providers;
    "Tool" = ToolForm;
    "Dependency" = DependencyForm;
    "McpServer" = McpServer;
    "Resources" = AgentResources;
    "Timeouts" = AgentTimeouts;
    "RetryPolicy" = RetryPolicyForm;
    "DispatchRetry" = DispatchRetryForm;
    "Budgets" = Budgets;
    "PolicyRules" = PolicyRules;
    "Replay" = AgentReplay;
    "Observability" = Observability;
    "Schedule" = AgentSchedule;
    "Listeners" = Listeners;
    "Coordinator" = CoordinatorForm;
    "Handoffs" = Handoffs;
}

/// The functions that read what a schema cannot say.
fn reader_of(name: &str) -> Option<ReadNamed> {
    match name {
        "RetryPolicy" => Some(retry::read),
        name => scalar::reader_of(name)
            .or_else(|| capability::reader_of(name))
            .or_else(|| kubernetes::reader_of(name))
            .or_else(|| mcp_server::reader_of(name))
            .or_else(|| sandbox::reader_of(name))
            .or_else(|| read_coordinator::reader_of(name)),
    }
}

/// The agent that `root` defines, or everything that is wrong with it. `known` is asked for what
/// the file refers to.
pub(super) fn read(root: &Node, known: &mut Known<'_>) -> Result<Agent, Vec<AgentFileProblem>> {
    let mut reader = Reader::default();
    let agent = definition(&mut reader, &At::root(root));
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

/// The definition as far as it can be read.
fn definition(reader: &mut Reader, root: &At<'_>) -> Option<Agent> {
    let fields = SHAPE.read_fields(reader, root, SHAPE.root())?;
    hint_at_sections(reader);
    let sections = fields.values.into_iter().filter_map(|(_, section)| match section {
        Value::Object(fields) => Some(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    });
    let fields: Map<String, Value> = sections.flatten().collect();
    let mut agent: Agent = value_of(reader, root, Value::Object(fields))?;
    add_hidden_secrets(&mut agent);
    if let Some(spec) = root.field("spec").filter(At::is_map) {
        command_files::note(reader, &spec, &agent);
        whole::check(reader, &spec, &agent);
    }
    Some(agent)
}

/// Adds the keys of providers and the secrets of tool servers to the secrets of the agent: they are
/// looked up, masked and asked for like any other.
fn add_hidden_secrets(agent: &mut Agent) {
    let keys = agent.providers.iter().map(|(_, provider)| &provider.key);
    let of_servers = agent.mcp_servers.iter().flat_map(McpServer::secrets);
    let hidden: Vec<String> = keys.chain(of_servers).cloned().collect();
    for name in hidden {
        if !agent.secrets.contains(&name) {
            agent.secrets.push(name);
        }
    }
}

/// Says of unknown fields at the top where they belong.
fn hint_at_sections(reader: &mut Reader) {
    for problem in &mut reader.problems {
        for (section, name) in [("spec", "Spec"), ("metadata", "Metadata")] {
            let properties = &SHAPE.definition(name)["properties"];
            if properties.get(&problem.path).is_some() {
                problem.hint = Some(format!("it belongs under {section}"));
            }
        }
    }
}
