//! The agent file: `agent.yaml`, what it may say and what errand makes of it.

mod coordinator;
mod definition;
mod listen;
mod problem;

pub use coordinator::{Aggregation, Coordinator, Edge, MessageType, Node};
pub use definition::{
    API_VERSION, Agent, Backoff, Budgets, DEFAULT_VERSION, Dependency, Harness, KIND, McpServer,
    Missed, Model, ModelName, OnExceed, Overlap, Resources, RetryOn, RetryPolicy, Schedule,
    SideEffect, Target, Timeouts, Tool, Workspace,
};
pub use listen::{Listen, MalformedAddress, MalformedMethod, parse_address, parse_method};
pub use problem::{Problem, Problems};

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
    let _ = bytes;
    Err(Problems { source_name: source_name.to_owned(), problems: Vec::new() })
}
