//! What a coordinator is to do: its agents, pinned when the run is admitted, and how they work
//! together. Part of `run.created`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::When;
use crate::event::AgentRef;

/// The agents of a coordinated run and how they work together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Who takes part, by name within the plan: a member of a chain or a fan-out, a node of a
    /// workflow.
    pub agents: BTreeMap<String, AgentRef>,
    /// How they work together.
    pub pattern: Pattern,
}

/// The three ways of working together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Pattern {
    /// One after the other.
    Chain(Chain),
    /// All at once.
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

/// One agent of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its name in [`Plan::agents`].
    pub name: String,
    /// How its input is made of what is there; `None`: it is the output of the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// The same input for all, or a part of it for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanOut {
    /// Names in [`Plan::agents`], in this order, at least one.
    pub members: Vec<String>,
    /// The member of the input that is a list; each of its items goes to one agent, in turn. `None`:
    /// all get the whole input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// How their outputs become one.
    pub aggregation: Aggregation,
    /// How long each may take from its first attempt on.
    #[serde(
        default,
        rename = "timeout_per_agent_ms",
        with = "crate::millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_per_agent: Option<Duration>,
    /// How many run at once; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// What becomes of the run if a member fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// How outputs become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// One object of all, by name; of those that failed nothing.
    #[default]
    MergeAll,
    /// The first that succeeds; the others are cancelled.
    FirstSuccess,
    /// What more than half of all members say, as soon as that is known; the others are cancelled.
    Majority,
    /// A list of all, in their order; `null` for those that failed.
    Collect,
}

/// What a member that fails, or takes too long, means for the run.
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
        /// How many have to succeed.
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

/// One node of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Where its output goes, and where it may send messages.
    #[serde(default)]
    pub outputs_to: Vec<Edge>,
    /// When it runs.
    #[serde(default)]
    pub join: Join,
    /// How often it may run; `None`: as often as messages allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runs: Option<u32>,
    /// How its input is made of what is there; `None`: it is the message's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// When a node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// For each message.
    #[default]
    Any,
    /// Once there is a message from each node that has an edge to it: its input is an object of their
    /// payloads, by sender.
    All,
}

/// One edge of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// A node, or one of [`super::ROLES`].
    pub to: String,
    /// The only messages that take it; `None`: all but `ERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

impl Plan {
    /// Whether all run at once, and nobody writes to anybody.
    pub const fn is_fan_out(&self) -> bool {
        matches!(self.pattern, Pattern::FanOut(_))
    }

    /// What one of its agents may send messages to, besides itself and whoever wrote to it.
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
        let next = self.links.get(at + 1).map_or(super::END, |link| link.name.as_str());
        let next = [next.to_owned(), super::NEXT.to_owned()];
        before.map(|link| link.name.clone()).into_iter().chain(next).collect()
    }
}
