//! Runs whose steps are other agents' runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the agents of a coordinated run work together.
///
/// An agent is named by its registered name, or by a path relative to the agent file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Coordinator {
    /// The output of each is the input of the next.
    Chain {
        /// In this order, at least one.
        agents: Vec<String>,
    },
    /// All at once.
    FanOut {
        /// At least one.
        agents: Vec<String>,
        /// How their outputs become one.
        aggregation: Aggregation,
        /// How long each may take; no limit of its own if absent.
        timeout_per_agent_ms: Option<u64>,
        /// How many run at once; all if absent.
        max_parallel: Option<u32>,
    },
    /// A graph driven by messages.
    Workflow {
        /// The node that gets the input.
        start: String,
        /// The bound on messages, and so on loops.
        max_messages: u32,
        /// Nodes by name.
        graph: BTreeMap<String, Node>,
    },
}

impl Coordinator {
    /// The bound on messages where the file names none.
    pub const DEFAULT_MAX_MESSAGES: u32 = 100;
    /// The largest bound on messages that may be set.
    pub const LARGEST_MAX_MESSAGES: u32 = 100_000;
    /// Names in `outputs_to` that stand for a role instead of a node.
    pub const ROLES: [&str; 4] = ["__end__", "__self__", "__prev__", "__next__"];
}

/// How outputs become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// One object of all.
    #[default]
    MergeAll,
    /// The first that succeeds; the others are cancelled.
    FirstSuccess,
    /// What most of them say.
    Majority,
    /// A list of all.
    Collect,
}

/// One node of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The agent; by default the one that has the node's name.
    pub agent: String,
    /// Where its messages go.
    pub outputs_to: Vec<Edge>,
}

/// One edge of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// A node, or one of [`Coordinator::ROLES`].
    pub to: String,
    /// The only type of message that takes this edge; any if absent.
    pub when_type: Option<MessageType>,
}

/// What a message between agents is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageType {
    /// Work to do.
    Task,
    /// What came of it.
    Result,
    /// A verdict on a result.
    Validation,
    /// Something went wrong.
    Error,
    /// For the coordination itself.
    Control,
}
