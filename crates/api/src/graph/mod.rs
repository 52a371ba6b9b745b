//! Graph of a coordinated run: its agents, and the messages between them.
//!
//! Pure: the plan and the events of a journal go in, the graph comes out, and each of its forms is
//! a function of it. Deliberately absent: the contents of messages, which the list of messages has.

mod build;
mod dot;
mod handoff;
mod layers;
mod mermaid;
mod place;
mod svg;

use errand_model::event::MessageType;
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trace::TraceUsage;

pub use build::GraphBuilder;
pub use dot::dot;
pub use handoff::of_handoffs;
pub use mermaid::mermaid;
pub use svg::svg;

/// The version of the shape that is printed as JSON.
pub const GRAPH_SCHEMA: u32 = 1;

/// The agents of a coordinated run, and the messages between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Graph {
    /// [`GRAPH_SCHEMA`].
    pub schema: u32,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// `name@version` of its agent.
    pub agent: String,
    /// `chain`, `fan_out`, `workflow`; or `handoff`: the run coordinates nothing, it was handed
    /// over.
    pub pattern: String,
    /// The run's status.
    pub status: String,
    /// True if the run is live.
    pub is_live: bool,
    /// Time of the run's admission.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
    /// Time of its end, or of its latest event.
    #[schemars(with = "i64")]
    pub ended_at_ms: Timestamp,
    /// Messages in all.
    pub messages: u64,
    /// Usage of all agents, as far as their runs are over.
    pub usage: TraceUsage,
    /// Source of the input, the agents in the order of their starts, and the destination of the
    /// output.
    pub nodes: Vec<GraphNode>,
    /// By when they were taken first; those that were not taken last.
    pub edges: Vec<GraphEdge>,
}

/// A sender or receiver of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Node")]
pub struct GraphNode {
    /// Its name in the plan; or `__start__`, `__end__`, `__coordinator__`.
    pub name: String,
    /// Kind of the node.
    pub kind: NodeKind,
    /// `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Status of the node; `idle` for one that is no agent.
    pub status: NodeStatus,
    /// Number of its runs.
    pub runs: u64,
    /// Runs that are under way.
    pub live: u64,
    /// Runs that did well.
    pub completed: u64,
    /// Runs that did not.
    pub failed: u64,
    /// Runs that were ended from outside.
    pub cancelled: u64,
    /// The run that was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_run_id: Option<RunId>,
    /// Start of the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub started_at_ms: Option<Timestamp>,
    /// End of the last run; absent while one is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub ended_at_ms: Option<Timestamp>,
    /// Total duration of its runs.
    pub duration_ms: u64,
    /// Usage of its ended runs.
    pub usage: TraceUsage,
}

/// Kind of a node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Source of the input.
    Start,
    /// The coordination itself.
    Coordinator,
    /// An agent.
    Agent,
    /// Destination of the output.
    End,
}

/// Status of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Never started.
    Idle,
    /// A run of it is under way.
    Running,
    /// All runs of it that are under way wait for people.
    Waiting,
    /// The run that ended last did well.
    Completed,
    /// The run that ended last did not.
    Failed,
    /// The run that ended last was ended from outside.
    Cancelled,
}

impl NodeStatus {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// A character that tells it from the others without colour; blank for what has nothing to
    /// tell.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::Running => "▶",
            Self::Waiting => "⏸",
            Self::Completed => "✓",
            Self::Failed => "✗",
            Self::Cancelled => "■",
        }
    }
}

/// Messages of one type from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Edge")]
pub struct GraphEdge {
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Type of the messages.
    #[serde(rename = "type")]
    pub kind: EdgeType,
    /// Number of messages; 0: the plan has the edge, and no message took it so far.
    pub count: u64,
    /// Time of the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub first_at_ms: Option<Timestamp>,
    /// Time of the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub last_at_ms: Option<Timestamp>,
}

impl GraphEdge {
    /// `RESULT`, or `RESULT ×3`.
    pub fn label(&self) -> String {
        match self.count {
            0 | 1 => self.kind.word().to_owned(),
            count => format!("{} ×{count}", self.kind.word()),
        }
    }
}

/// Type of the messages along an edge.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EdgeType {
    /// Work to do.
    Task,
    /// Result of a task.
    Result,
    /// A verdict on a result, or the question for one.
    Validation,
    /// Something went wrong.
    Error,
    /// For the coordination itself.
    Control,
    /// A run that was handed over.
    Handoff,
}

impl EdgeType {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "TASK",
            Self::Result => "RESULT",
            Self::Validation => "VALIDATION",
            Self::Error => "ERROR",
            Self::Control => "CONTROL",
            Self::Handoff => "HANDOFF",
        }
    }
}

impl From<MessageType> for EdgeType {
    fn from(kind: MessageType) -> Self {
        match kind {
            MessageType::Task => Self::Task,
            MessageType::Result => Self::Result,
            MessageType::Validation => Self::Validation,
            MessageType::Error => Self::Error,
            MessageType::Control => Self::Control,
        }
    }
}

#[cfg(test)]
mod tests;
