//! Who said what to whom in a coordinated run: a graph of agents and of the messages between them.
//!
//! Pure: the plan and the events of a journal go in, the graph comes out, and each form that it can
//! be given is a function of it. Deliberately absent: what was said. The list of messages has that.

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

use crate::trace::Usage;

pub use build::Builder;
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
    /// Which run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// `name@version` of its agent.
    pub agent: String,
    /// `chain`, `fan_out`, `workflow`; or `handoff`: the run coordinates nothing, it was handed over.
    pub pattern: String,
    /// The run's status.
    pub status: String,
    /// Whether the run goes on.
    pub is_live: bool,
    /// When the run was admitted.
    #[schemars(with = "i64")]
    pub created_at_ms: Timestamp,
    /// When it ended, or how far it is.
    #[schemars(with = "i64")]
    pub ended_at_ms: Timestamp,
    /// Messages in all.
    pub messages: u64,
    /// What all agents used together, as far as their runs are over.
    pub usage: Usage,
    /// Where the input comes from, the agents by when they began, and where the output goes.
    pub nodes: Vec<Node>,
    /// By when they were taken first; those that were not taken last.
    pub edges: Vec<Edge>,
}

/// Somebody who sends or gets messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name in the plan; or `__start__`, `__end__`, `__coordinator__`.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// How it stands; `idle` for what is no agent.
    pub status: NodeStatus,
    /// How often it was started.
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
    /// When the first run was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub started_at_ms: Option<Timestamp>,
    /// When the last run ended; absent while one is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub ended_at_ms: Option<Timestamp>,
    /// How long its runs took, all together.
    pub duration_ms: u64,
    /// What its runs used that are over.
    pub usage: Usage,
}

/// What a node is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Where the input comes from.
    Start,
    /// The coordination itself.
    Coordinator,
    /// An agent.
    Agent,
    /// Where the output goes.
    End,
}

/// How an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It was not started.
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

    /// A character that tells it from the others without colour; blank for what has nothing to tell.
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
pub struct Edge {
    /// Who sent them.
    pub from: String,
    /// Who they are for.
    pub to: String,
    /// What they are.
    #[serde(rename = "type")]
    pub kind: EdgeType,
    /// How many; 0: the plan has the edge, and nothing took it so far.
    pub count: u64,
    /// When the first one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub first_at_ms: Option<Timestamp>,
    /// When the last one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub last_at_ms: Option<Timestamp>,
}

impl Edge {
    /// `RESULT`, or `RESULT ×3`.
    pub fn label(&self) -> String {
        match self.count {
            0 | 1 => self.kind.word().to_owned(),
            count => format!("{} ×{count}", self.kind.word()),
        }
    }
}

/// What goes along an edge.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EdgeType {
    /// Work to do.
    Task,
    /// What came of it.
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
