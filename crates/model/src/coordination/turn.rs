//! News for a coordinator, and the consequences: input and output of its pure function.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::LimitName;
use crate::event::{ChildUsage, EventBody, Failure, PauseReason};
use crate::plan::MessageType;
use crate::{Digest, Payload, RunId};

/// News for a coordinator. Each may come twice, and news that no longer applies is ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CoordinatorNews {
    /// The coordinator's attempt is live and has started nothing yet; with the number of items of a
    /// partitioned input.
    Began {
        /// Number of items; `None`: the input is not partitioned.
        items: Option<u32>,
    },
    /// A child is over.
    Ended(ChildEnded),
    /// A child says something to another one, or to `__end__`.
    Said(ChildSaid),
    /// A child asks for the next message that is for it, and waits.
    Listens {
        /// The child.
        run_id: RunId,
        /// Number of messages that it received before: an answered request is not answered again.
        received: u32,
    },
    /// A child waits for a person, or does not any more.
    Waits {
        /// The child.
        run_id: RunId,
        /// Reason for waiting; `None`: it no longer waits.
        reason: Option<PauseReason>,
    },
    /// A child that was to be started in this turn could not be: what it would be given cannot be
    /// put together, or its agent refuses it.
    NotStarted {
        /// Its step.
        key: String,
        /// Error of the failure.
        error: Failure,
    },
    /// Output of a completed step: the answer to [`CoordinatorTurn::recalls`].
    Recalled {
        /// The step.
        key: String,
        /// Its output.
        said: StatedValue,
    },
    /// Nothing new: time passed, it was let go on, or there was more to do than one turn does.
    Look,
}

impl CoordinatorNews {
    /// The child that it is from; `None`: it is from none.
    pub const fn of(&self) -> Option<&RunId> {
        match self {
            Self::Ended(ended) => Some(&ended.run_id),
            Self::Said(said) => Some(&said.run_id),
            Self::Listens { run_id, .. } | Self::Waits { run_id, .. } => Some(run_id),
            Self::Began { .. } | Self::NotStarted { .. } | Self::Recalled { .. } | Self::Look => {
                None
            }
        }
    }
}

/// A child is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildEnded {
    /// The child.
    pub run_id: RunId,
    /// Outcome of the child.
    pub outcome: ChildOutcome,
    /// Usage of the child and of all runs that it started.
    #[serde(default)]
    pub usage: ChildUsage,
    /// Number of messages that it received on request; `None`: unknown, and all delivered messages
    /// count as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
}

/// Outcome of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ChildOutcome {
    /// The child completed.
    Completed(StatedValue),
    /// The child completed, and another run continues its task.
    HandedOver {
        /// The other run, which is a child of the same coordinator from now on.
        to: RunId,
        /// Its agent's name.
        agent: String,
    },
    /// The child failed.
    Failed {
        /// Error of the child.
        error: Failure,
    },
    /// The child was cancelled.
    Cancelled {
        /// Reason, for people.
        reason: String,
    },
}

/// Something that was said, in three forms: as it is kept, as it is looked into, as it is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatedValue {
    /// As it is kept; `None`: nothing was said.
    pub payload: Option<Payload>,
    /// The whole value as JSON, for conditions; `Null` if no condition reads it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The digest of its canonical JSON.
    pub digest: Digest,
}

/// A message of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildSaid {
    /// The child.
    pub run_id: RunId,
    /// The message's id.
    pub id: String,
    /// As the agent said it: a name within the plan, or one of [`crate::plan::ROLES`].
    pub to: String,
    /// Type of the message.
    pub kind: MessageType,
    /// Content of the message.
    pub said: StatedValue,
}

/// Consequences of one turn of a coordinator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoordinatorTurn {
    /// Events to record, in one commit with the children that are started.
    pub events: Vec<EventBody>,
    /// Children to be admitted in that commit; their `step.started` is among the events.
    pub starts: Vec<Start>,
    /// Messages that are put where the child that waits for them finds them, in that commit; their
    /// `message.delivered` is among the events.
    pub deliveries: Vec<MessageDelivery>,
    /// Messages delivered to children that are over, by child and number: their rest has no reader.
    pub unread: Vec<(RunId, u32)>,
    /// Steps that another attempt or run did, whose outputs have to be looked into before they are
    /// sent on: [`CoordinatorNews::Recalled`] of each is to be heard in the same turn.
    pub recalls: Vec<(String, Payload)>,
    /// Children that are to be ended, once the commit is durable. Named as soon as it is known, and
    /// again whenever the coordinator is to look, for as long as they live.
    pub stops: Vec<RunId>,
    /// Children that are to be held: named in each turn until they say that they are.
    pub holds: Vec<RunId>,
    /// Children that are to go on: named until they say that they do.
    pub releases: Vec<RunId>,
    /// Nothing of it lives any more and its result is known: its attempt ends in the same commit.
    pub finish: Option<Finish>,
    /// True if another turn must follow at once: there was more work than one turn does.
    pub looks_again: bool,
}

/// A child that is to be admitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The key of its step.
    pub key: String,
    /// Its agent's name in the plan.
    pub name: String,
    /// Its id.
    pub run_id: RunId,
    /// Input of the child.
    pub input: InputMaterial,
    /// Agents that it may send messages to.
    pub sends_to: Vec<String>,
    /// Sender of the message to it: the meaning of `__prev__` in its input.
    pub previous: Option<String>,
    /// Time limit, if the coordinator sets one.
    pub timeout: Option<Duration>,
    /// Share of the coordinator's budgets.
    pub budgets: Vec<(LimitName, u64)>,
}

/// Something that is put together of what is known. The parts may be in the blob store.
#[derive(Clone, Debug, PartialEq)]
pub enum InputMaterial {
    /// Nothing.
    Nothing,
    /// The coordinator's own input.
    Input,
    /// An item of the list in the coordinator's input.
    Item {
        /// The member that is the list.
        member: String,
        /// From 0.
        index: u32,
    },
    /// Exactly this.
    Payload(Payload),
    /// An object.
    Object(BTreeMap<String, Option<Payload>>),
    /// A list; `None`: `null`.
    List(Vec<Option<Payload>>),
    /// A template that refers to `input`, `output` (what would have been given without it), `from`,
    /// `type` and `outputs.<name>`, the last output of each agent.
    Template {
        /// The template.
        template: Value,
        /// Value that would be given without the template.
        output: Box<Self>,
        /// Sender.
        from: String,
        /// Type of the message.
        kind: MessageType,
        /// The last output of each agent, by name.
        outputs: BTreeMap<String, Option<Payload>>,
    },
}

/// A message for a child that waits for it.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageDelivery {
    /// The child.
    pub run_id: RunId,
    /// From 1, by child.
    pub number: u32,
    /// The message's id.
    pub id: String,
    /// Sender.
    pub from: String,
    /// The child's name.
    pub to: String,
    /// Type of the message.
    pub kind: MessageType,
    /// Content of the message.
    pub payload: Payload,
}

/// End of a coordinated run.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Well, with that output.
    Completed(InputMaterial),
    /// The run failed.
    Failed(Failure),
    /// As was asked of it: it is cancelled.
    Cancelled,
}
