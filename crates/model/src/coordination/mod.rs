//! Runs whose steps are other agents' runs: what is to be done, what became of it, what comes next.
//!
//! A coordinator is no process. It is the fold of its journal, and takes a turn whenever it hears
//! something: [`crate::run::Run::turn`] is the one function that decides what follows.

mod condition;
mod control;
mod desk;
mod fan_out;
mod finish;
mod fold;
mod graph;
mod hear;
mod ledger;
mod material;
mod plan;
mod reference;
mod route;
mod share;
mod state;
mod turn;
mod workflow;

pub use condition::{Condition, Test, When};
pub(crate) use desk::TurnContext;
pub use ledger::Ledger;
pub use plan::{
    Aggregation, Chain, Edge, FanOut, Join, Link, Node, OnFailure, Pattern, Plan, Workflow,
};
pub use reference::Reference;
pub use state::{Coordination, LiveChild};
pub use turn::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial,
    MessageDelivery, Start, StatedValue,
};

use crate::RunId;
use serde::{Deserialize, Serialize};

/// Ends a workflow: what is sent there is its output.
pub const END: &str = "__end__";
/// The sender of the message.
pub const SELF: &str = "__self__";
/// The agent before in a chain; in a workflow the sender of the message to this agent.
pub const PREV: &str = "__prev__";
/// The agent after in a chain; in a workflow all nodes that the sender has edges to.
pub const NEXT: &str = "__next__";
/// Sender of the run's own input.
pub const START: &str = "__start__";
/// Sender of messages that no agent sent.
pub const COORDINATOR: &str = "__coordinator__";
/// Names that stand for a role instead of an agent.
pub const ROLES: [&str; 4] = [END, SELF, PREV, NEXT];

/// Agents that one plan may have.
pub const AGENTS_LIMIT: usize = 256;
/// Children that one coordinator may start.
pub const CHILDREN_LIMIT: u32 = 10_000;
/// Largest depth of nested coordinators.
pub const DEPTH_LIMIT: u32 = 8;
/// Children that one turn starts.
pub const STARTS_PER_TURN: usize = 128;
/// The bound on messages where nothing else is said.
pub const DEFAULT_MAX_MESSAGES: u32 = 100;
/// Largest number of handoffs of a run.
pub const HANDOFF_LIMIT: u32 = 16;

/// Membership of a run in a coordinator's plan. Part of `run.created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The coordinator.
    pub coordinator: RunId,
    /// The key of its step there.
    pub key: String,
    /// Its name in the plan.
    pub name: String,
    /// Number of coordinators above it; from 1.
    pub depth: u32,
    /// Agents that it may send messages to, besides itself and its correspondents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends_to: Vec<String>,
    /// Sender of the message to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}
