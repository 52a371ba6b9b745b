//! The agent file: `agent.yaml`, what it may say and what errand makes of it.

mod coordinator;
mod definition;
mod known;
mod listen;
mod problem;
mod read;
pub(crate) mod reader;
mod suggest;
pub(crate) mod yaml;

pub use coordinator::{Coordinator, Member, is_path};
pub use definition::{
    API_VERSION, Agent, Budgets, DEFAULT_VERSION, Dependency, Harness, KIND, McpServer, Model,
    ModelName, Resources, Schedule, Target, Timeouts, Tool, Workspace,
};
pub use errand_model::accounting::SideEffect;
pub use errand_model::budget::OnExceed;
pub use errand_model::event::{Missed, Overlap};
pub use errand_model::retry::{Backoff, RetryPolicy};
pub use known::{Known, PART_LIMIT_BYTES, Reference, Unknown};
pub use listen::{
    Listen, MalformedAddress, MalformedHost, MalformedMethod, parse_address, parse_host,
    parse_method,
};
pub use problem::{Excerpt, Problem, ProblemKind, Problems};
pub(crate) use read::{micro_usd, parse_micro_usd, quantity};
pub use read::{parse_cpu_millis, parse_memory_bytes};
pub use suggest::closest;

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

/// The same where something is known of what the file refers to: each reference is asked for in `known`.
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
        Ok(root) => match read::agent(&root, known) {
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
    let json = yaml::load(bytes).and_then(|root| read::json(&root));
    json.map_err(|problems| Problems::new(source_name, bytes, problems))
}
