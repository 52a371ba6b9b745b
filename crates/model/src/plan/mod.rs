//! Plan of a coordinator: its agents, pinned when the run is admitted, and their cooperation. Part
//! of `run.created`.

mod condition;
mod membership;
mod message_type;
mod step_key;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use condition::{Condition, Test, When};
pub use membership::Membership;
pub use message_type::MessageType;
pub(crate) use step_key::{key_of, split_key};

use crate::agent_ref::AgentRef;

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

/// The agents of a coordinated run and how they work together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Agents by name within the plan: a member of a chain or a fan-out, a node of a workflow.
    pub agents: BTreeMap<String, AgentRef>,
    /// Pattern of their cooperation.
    pub pattern: Pattern,
}

/// The three ways of working together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Pattern {
    /// Agents run one after the other.
    Chain(Chain),
    /// Agents run at the same time.
    FanOut(FanOut),
    /// A graph driven by messages.
    Workflow(Workflow),
}

impl Pattern {
    /// The stored word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Chain(_) => "chain",
            Self::FanOut(_) => "fan_out",
            Self::Workflow(_) => "workflow",
        }
    }
}

/// The output of each is the input of the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// In this order, at least one; names are unique.
    pub links: Vec<Link>,
    /// The bound on messages: a link may send something back.
    pub max_messages: u32,
}

/// An agent of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its name in [`Plan::agents`].
    pub name: String,
    /// Template of its input; `None`: the output of the agent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// All members at once, with the same input or a part of it each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanOut {
    /// Names in [`Plan::agents`], in this order, at least one.
    pub members: Vec<String>,
    /// The member of the input that is a list; each of its items goes to one agent, in turn.
    /// `None`: all get the whole input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Aggregation of the outputs.
    pub aggregation: Aggregation,
    /// Time limit of each member from its first attempt.
    #[serde(
        default,
        rename = "timeout_per_agent_ms",
        with = "crate::millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_per_agent: Option<Duration>,
    /// Number of members that run at once; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Consequence of a member's failure for the run.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl FanOut {
    /// Returns the number of children.
    pub(crate) fn total(&self, items: Option<u32>) -> u32 {
        match self.partition {
            Some(_) => items.unwrap_or(0),
            None => u32::try_from(self.members.len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the key of the step at `place`, from 0.
    pub(crate) fn key_at(&self, place: u32) -> Option<String> {
        let (name, number) = self.member_at(place)?;
        Some(key_of(name, number))
    }

    /// Returns the member at `place`, from 0, and the number of its child there, from 1.
    pub(crate) fn member_at(&self, place: u32) -> Option<(&str, u32)> {
        let members = u32::try_from(self.members.len()).ok().filter(|members| *members > 0)?;
        if self.partition.is_none() && place >= members {
            return None;
        }
        let name = self.members.get(usize::try_from(place % members).ok()?)?;
        Some((name, place / members + 1))
    }
}

/// Aggregation of members' outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Object of all outputs by name, without those of failed members.
    #[default]
    MergeAll,
    /// The first that succeeds; the others are cancelled.
    FirstSuccess,
    /// The output of more than half of all members, as soon as that is known; the others are
    /// cancelled.
    Majority,
    /// A list of all, in their order; `null` for those that failed.
    Collect,
}

/// Consequence for the run of a member that fails or takes too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run fails, and the others are cancelled. For `first_success` and `majority`: as soon as
    /// they cannot come about any more.
    #[default]
    Fail,
    /// Nothing, as long as one succeeds.
    Ignore,
    /// Nothing, as long as so many succeed.
    MinSuccess(
        /// Number of members that have to succeed.
        #[schemars(range(min = 1), extend("examples" = [2]))]
        u32,
    ),
}

/// A graph driven by messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// The node that gets the input.
    pub start: String,
    /// The bound on messages, and so on loops.
    pub max_messages: u32,
    /// By name, as in [`Plan::agents`].
    pub nodes: BTreeMap<String, Node>,
}

/// A node of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Edges for its output, and for its messages.
    #[serde(default)]
    pub outputs_to: Vec<Edge>,
    /// Condition for its start.
    #[serde(default)]
    pub join: Join,
    /// Largest number of its runs; `None`: as many as messages allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runs: Option<u32>,
    /// Template of its input; `None`: the message's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// Condition for the start of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// For each message.
    #[default]
    Any,
    /// Once there is a message from each node that has an edge to it: its input is an object of
    /// their payloads, by sender.
    All,
}

/// An edge of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// A node, or one of [`ROLES`].
    pub to: String,
    /// The only messages that take it; `None`: all but `ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

impl Plan {
    /// Returns true if all members run at once, without messages between them.
    pub const fn is_fan_out(&self) -> bool {
        matches!(self.pattern, Pattern::FanOut(_))
    }

    /// Returns the agents that a member may send messages to, besides itself and its
    /// correspondents.
    pub fn outputs_of(&self, name: &str) -> Vec<String> {
        match &self.pattern {
            Pattern::Chain(chain) => chain.outputs_of(name),
            Pattern::FanOut(_) => Vec::new(),
            Pattern::Workflow(workflow) => workflow.nodes.get(name).map_or_else(Vec::new, |node| {
                node.outputs_to.iter().map(|edge| edge.to.clone()).collect()
            }),
        }
    }
}

impl Chain {
    fn outputs_of(&self, name: &str) -> Vec<String> {
        let Some(at) = self.links.iter().position(|link| link.name == name) else {
            return Vec::new();
        };
        let before = at.checked_sub(1).and_then(|before| self.links.get(before));
        let next = self.links.get(at + 1).map_or(END, |link| link.name.as_str());
        let next = [next.to_owned(), NEXT.to_owned()];
        before.map(|link| link.name.clone()).into_iter().chain(next).collect()
    }
}
