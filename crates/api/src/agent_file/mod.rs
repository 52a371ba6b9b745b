//! The agent file: `agent.yaml`, what it may say and what errand makes of it.

pub(crate) mod at;
mod capability;
mod command_files;
mod container;
mod coordinator;
mod definition;
mod egress;
mod file;
mod http;
mod inventory;
mod json_schema;
mod known;
mod kubernetes;
mod limits;
mod listen;
mod mcp_server;
pub(crate) mod names;
mod observability;
mod of_image;
mod pointer;
mod policy;
mod policy_hook;
mod problem;
mod providers;
pub(crate) mod quantity;
mod read_coordinator;
pub(crate) mod reader;
mod references;
mod replay;
mod retry;
mod retry_on;
mod rule;
mod sampling;
mod sandbox;
pub mod scalar;
mod section;
pub(crate) mod shape;
mod suggest;
mod whole;
pub mod written;
pub(crate) mod yaml;

use at::At;
use reader::Reader;

pub use capability::{CapabilityName, kept_capabilities};
pub use container::{
    ContainerMount, ContainerNetwork, ContainerPlace, ContainerPort, PortProtocol, PullPolicy,
};
pub use coordinator::{Coordinator, Member, is_path};
pub use definition::{
    API_VERSION, Agent, AgentSchedule, DEFAULT_VERSION, HarnessKind, KIND, TargetKind, Workspace,
};
pub use egress::{EgressEffect, EgressPattern, EgressPort};
pub use errand_model::accounting::SideEffect;
pub use errand_model::budget::OnExceed;
pub use errand_model::event::{MissedPolicy, OverlapPolicy};
pub use errand_model::retry::{Backoff, RetryPolicy};
pub use file::{AgentFile, AgentKind, ApiVersion, Metadata};
pub use http::{
    MalformedAddress, MalformedHost, MalformedMethod, parse_address, parse_host, parse_method,
};
pub use inventory::{Dependency, Model, ModelName, Tool};
pub use known::{FileReference, Known, PART_LIMIT_BYTES, Unknown};
pub use kubernetes::{KubernetesName, KubernetesPlace};
pub use limits::{AgentResources, AgentTimeouts, Budgets};
pub use listen::Listen;
pub use mcp_server::{
    McpEffects, McpEnvironment, McpHolding, McpRequestHeaders, McpServer, McpValue,
};
pub use observability::Observability;
pub use of_image::{file_of_command, file_of_image};
pub use policy::{ExternalPolicy, PolicyRule, PolicyRules, RuleLists};
pub use policy_hook::PolicyHook;
pub use problem::{AgentFileProblem, Excerpt, ProblemKind, Problems};
pub use providers::{Provider, ProviderName, Providers};
pub(crate) use quantity::{micro_usd, parse_micro_usd};
pub use quantity::{parse_cpu_millis, parse_memory_bytes};
pub use references::ANY_DISPATCHER;
pub use replay::AgentReplay;
pub use sampling::Sampling;
pub use sandbox::{
    ProcessPlace, SandboxFilesystem, SandboxNetwork, SandboxPath, SandboxRules, is_sandbox_path,
};
pub use scalar::DurationText;
pub(crate) use shape::UNSUPPORTED;
pub use suggest::closest;
pub use written::AnyMessage;
pub(crate) use written::NULLABLE;

/// The name of the file in an agent's folder.
pub const FILE_NAME: &str = "agent.yaml";

/// Reads an agent file, called `source_name` in what is said about it.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it.
pub fn parse(source_name: &str, text: &str) -> Result<Agent, Problems> {
    parse_bytes(source_name, text.as_bytes())
}

/// Reads an agent file as it came from the disk: also refuses what is no UTF-8.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it.
pub fn parse_bytes(source_name: &str, bytes: &[u8]) -> Result<Agent, Problems> {
    parse_knowing(source_name, bytes, &mut |_| Ok(()))
}

/// Reads an agent file, and asks `known` for everything that it refers to.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it, references that lead nowhere included.
pub fn parse_knowing(
    source_name: &str,
    bytes: &[u8],
    known: &mut Known<'_>,
) -> Result<Agent, Problems> {
    let problems = match yaml::load(bytes) {
        Ok(root) => match file::read(&root, known) {
            Ok(agent) => return Ok(agent),
            Err(problems) => problems,
        },
        Err(problems) => problems,
    };
    Err(Problems::new(source_name, bytes, problems))
}

/// The file as JSON, unchecked: what a JSON Schema is held against.
///
/// # Errors
///
/// [`Problems`], if it is no YAML or holds what JSON cannot.
pub fn to_json(source_name: &str, bytes: &[u8]) -> Result<serde_json::Value, Problems> {
    let json = yaml::load(bytes).and_then(|root| {
        let mut reader = Reader::default();
        reader.json(&At::root(&root)).ok_or(reader.problems)
    });
    json.map_err(|problems| Problems::new(source_name, bytes, problems))
}
