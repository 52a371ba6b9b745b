//! State of a plan: part of the run's fold.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Shared};
use super::turn::MessageDelivery;
use crate::budget::LimitName;
use crate::event::{AgentUsage, CoordinationBegan, Failure, PauseReason};
use crate::plan::{MessageType, Pattern, Plan, split_key};
use crate::spend::Amounts;
use crate::{Digest, Payload, RunId, Timestamp};

/// State of a coordinated run: the fold of its `step.*`, `message.*`, `coordination.*` and
/// `child.*` events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coordination {
    /// Children that were started and are not over, by the keys of their steps.
    pub live: Ledger<LiveChild>,
    /// Children that were started, in all.
    pub started: u32,
    /// Children that did well.
    pub completed: u32,
    /// Children that did not.
    pub failed: u32,
    /// Children that were ended from outside.
    pub cancelled: u32,
    /// Messages that were routed.
    pub messages: u32,
    /// Usage of all ended children, by agent.
    pub usage: BTreeMap<String, AgentUsage>,
    /// Of live children, by the ids of their runs: the keys of their steps.
    pub(crate) keys: Ledger<String>,
    /// Of steps that are not done, by key: the runs that tried them last, and are over.
    pub(crate) tried: Ledger<RunId>,
    /// Steps that are done for good, by key.
    pub(crate) done: Ledger<Done>,
    /// All of [`Coordination::usage`] together.
    pub(crate) spent: Amounts,
    /// Amounts reserved for live children, in total.
    pub(crate) promised: Amounts,
    /// Live children that wait for a person.
    pub(crate) waiting: u32,
    /// Live children that were held with the run, and are to go on.
    pub(crate) releasing: u32,
    /// The way through the plan.
    pub(crate) routing: Routing,
}

/// A child that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveChild {
    /// Its run.
    pub run_id: RunId,
    /// Its name in the plan.
    pub name: String,
    /// Reason for waiting, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<PauseReason>,
    /// Time of its start.
    pub started_at: Timestamp,
    /// Amounts that it may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) allowance: BTreeMap<LimitName, u64>,
    /// Sender of the message that it started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// Messages that it got: the one that it began with, and those that it asked for.
    #[serde(default)]
    pub(crate) got: u32,
    /// True while it waits for the next message.
    #[serde(default)]
    pub(crate) listens: bool,
    /// The last message that it asked for and got, until it is known that it has it: it asks for no
    /// other one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fed: Option<CoordinatedMessage>,
    /// Messages that it sent itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) said: Vec<CoordinatedMessage>,
    /// Hold on the child.
    #[serde(default)]
    pub(crate) hold: ChildHold,
    /// True once another agent asked it to end.
    #[serde(default)]
    pub(crate) is_stopping: bool,
}

/// Hold on a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChildHold {
    /// Never held.
    #[default]
    Free,
    /// The whole run is held.
    WithRun,
    /// Another agent said so.
    ByAgent,
    /// Held before, and released.
    Released,
}

/// A step that is done for good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    /// Output of the child.
    pub(crate) output: Option<Shared<Payload>>,
    /// The digest of that as canonical JSON, where it counts as a vote.
    pub(crate) digest: Option<Digest>,
    /// Messages that it sent, or that were sent because of it.
    pub(crate) said: Vec<CoordinatedMessage>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoordinatedMessage {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(rename = "type")]
    pub(crate) kind: MessageType,
    pub(crate) payload: Shared<Payload>,
}

/// The way through the plan, which begins anew when a failed attempt is followed by another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Routing {
    /// Set once it began.
    pub(crate) began: Option<CoordinationBegan>,
    /// Set once it cannot end well any more.
    pub(crate) failed: Option<Failure>,
    /// Set once its output is known: the first message to `__end__`.
    pub(crate) end: Option<WorkflowEnd>,
    /// Messages so far.
    pub(crate) messages: u32,
    /// By name: those to which something happened.
    pub(crate) nodes: BTreeMap<String, NodeState>,
    /// Of a fan-out.
    pub(crate) members: Members,
}

/// The message that ends a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkflowEnd {
    pub(crate) payload: Shared<Payload>,
    /// Step that the message is from.
    pub(crate) step: Option<String>,
}

/// State of a workflow's node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeState {
    /// Number of its runs.
    pub(crate) runs: u32,
    /// The step that is under way.
    pub(crate) live: Option<String>,
    /// Messages that it did not get yet, oldest first.
    pub(crate) queue: VecDeque<CoordinatedMessage>,
    /// Its last output.
    pub(crate) output: Option<Shared<Payload>>,
}

/// Counts of a fan-out's members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Members {
    /// The first place whose child was not started yet.
    pub(crate) next: u32,
    /// Number of successful members.
    pub(crate) succeeded: u32,
    /// Number of failed members.
    pub(crate) failed: u32,
    /// The step that did well first.
    pub(crate) first: Option<String>,
    /// The failure that came first.
    pub(crate) failure: Option<MemberFailure>,
    /// Votes by digest of the output, where outputs are votes.
    pub(crate) votes: Ledger<u32>,
    /// Largest number of votes for one output.
    pub(crate) most: u32,
    /// A step that said it.
    pub(crate) favourite: Option<String>,
}

/// A member that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberFailure {
    pub(crate) key: String,
    pub(crate) run_id: RunId,
    pub(crate) error: Failure,
}

impl LiveChild {
    /// Returns true if a message of that id was heard and sent on.
    pub fn has_said(&self, id: &str) -> bool {
        self.said.iter().any(|letter| letter.id == id)
    }

    /// The message that was brought to it and that it does not have, if it received that many of
    /// those that it asked for.
    pub fn not_received(&self, received: u32) -> Option<MessageDelivery> {
        // The first that it got is what it began with.
        let number = self.got.checked_sub(1).filter(|number| received < *number)?;
        let letter = self.fed.as_ref()?;
        Some(MessageDelivery {
            run_id: self.run_id.clone(),
            number,
            id: letter.id.clone(),
            from: letter.from.clone(),
            to: self.name.clone(),
            kind: letter.kind,
            payload: letter.payload.get().clone(),
        })
    }
}

impl Coordination {
    /// Returns true if a run is a child that is live, as far as is known.
    pub fn is_live(&self, run_id: &RunId) -> bool {
        self.keys.contains_key(run_id.as_str())
    }

    /// The run that tried a step last, if it is over and the step is not done.
    pub fn tried(&self, key: &str) -> Option<&RunId> {
        self.tried.get(key)
    }

    /// Live children that wait for a person.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Returns the number of children if all succeed; `None`: unknown.
    pub fn total(&self, plan: &Plan) -> Option<u32> {
        match &plan.pattern {
            Pattern::Chain(chain) => u32::try_from(chain.links.len()).ok(),
            Pattern::FanOut(fan_out) => Some(fan_out.total(self.routing.began?.items)),
            Pattern::Workflow(_) => None,
        }
    }

    /// The name of the agent whose step has that key.
    pub fn name_of(key: &str) -> &str {
        split_key(key).0
    }
}
