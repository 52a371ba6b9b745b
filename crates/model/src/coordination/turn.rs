//! What a coordinator hears, and what it wants done: the two ends of its pure function.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::LimitName;
use crate::event::{ChildUsage, EventBody, Failure, MessageType, PauseReason};
use crate::{Digest, Payload, RunId};

/// What a coordinator hears. Each may come twice, and what does not fit any more is left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum News {
    /// Its attempt lives: nothing was started in it yet. With the number of items of a partitioned
    /// input.
    Began {
        /// How many items; `None`: the input is not partitioned.
        items: Option<u32>,
    },
    /// A child is over.
    Ended(ChildEnded),
    /// A child says something to another one, or to `__end__`.
    Said(ChildSaid),
    /// A child asks for the next message that is for it, and waits.
    Listens {
        /// Which child.
        run_id: RunId,
        /// How many messages it got so before: an ask that was answered is not answered again.
        received: u32,
    },
    /// A child waits for a person, or does not any more.
    Waits {
        /// Which child.
        run_id: RunId,
        /// What for; `None`: it goes on.
        reason: Option<PauseReason>,
    },
    /// A child that was to be started in this turn could not be: what it would be given cannot be
    /// put together, or its agent refuses it.
    NotStarted {
        /// Its step.
        key: String,
        /// Why.
        error: Failure,
    },
    /// What a step put out that is done: the answer to [`Turn::recalls`].
    Recalled {
        /// The step.
        key: String,
        /// Its output.
        said: Said,
    },
    /// Nothing new: time passed, it was let go on, or there was more to do than one turn does.
    Look,
}

impl News {
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
    /// Which child.
    pub run_id: RunId,
    /// How.
    pub outcome: ChildOutcome,
    /// What it used, all that it started included.
    #[serde(default)]
    pub usage: ChildUsage,
    /// How many messages it received that it asked for; `None`: that is not known, and all that were
    /// brought to it count as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ChildOutcome {
    /// It did well.
    Completed(Said),
    /// It did well, and another run carries on what it was to do.
    HandedOver {
        /// The other run, which is a child of the same coordinator from now on.
        to: RunId,
        /// Its agent's name.
        agent: String,
    },
    /// It did not work out.
    Failed {
        /// What went wrong.
        error: Failure,
    },
    /// It was ended from outside.
    Cancelled {
        /// Why, for people.
        reason: String,
    },
}

/// Something that was said, in three forms: as it is kept, as it is looked into, as it is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// As it is kept; `None`: nothing was said.
    pub payload: Option<Payload>,
    /// As JSON, whole, for conditions; `Null` where nobody looks into it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The digest of its canonical JSON.
    pub digest: Digest,
}

/// A message of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildSaid {
    /// Which child.
    pub run_id: RunId,
    /// The message's id.
    pub id: String,
    /// As the agent said it: a name within the plan, or one of [`super::ROLES`].
    pub to: String,
    /// What it is.
    pub kind: MessageType,
    /// What was said.
    pub said: Said,
}

/// What one turn of a coordinator leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// What is to be recorded, in one commit with the children that are started.
    pub events: Vec<EventBody>,
    /// Children to be admitted in that commit; their `step.started` is among the events.
    pub starts: Vec<Start>,
    /// Messages that are put where the child that waits for them finds them, in that commit; their
    /// `message.delivered` is among the events.
    pub deliveries: Vec<Delivery>,
    /// Messages that were brought to children that are over, by child and number: whatever is left of
    /// them is for nobody any more.
    pub unread: Vec<(RunId, u32)>,
    /// Steps that another attempt or run did, whose outputs have to be looked into before they are
    /// sent on: [`News::Recalled`] of each is to be heard in the same turn.
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
    /// Somebody has to look again at once: there was more to do than one turn does.
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
    /// What it is given.
    pub input: Material,
    /// What it may send messages to.
    pub sends_to: Vec<String>,
    /// Who wrote to it: what `__prev__` means to it.
    pub previous: Option<String>,
    /// How long it may take, if the coordinator says so.
    pub timeout: Option<Duration>,
    /// What it may spend of the coordinator's budgets.
    pub budgets: Vec<(LimitName, u64)>,
}

/// Something that is put together of what is known. The parts may be in the blob store.
#[derive(Clone, Debug, PartialEq)]
pub enum Material {
    /// Nothing.
    Nothing,
    /// The coordinator's own input.
    Input,
    /// One item of the list in the coordinator's input.
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
        /// What would have been given without it.
        output: Box<Self>,
        /// Who it is from.
        from: String,
        /// What it is.
        kind: MessageType,
        /// The last output of each agent, by name.
        outputs: BTreeMap<String, Option<Payload>>,
    },
}

/// A message for a child that waits for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which child.
    pub run_id: RunId,
    /// From 1, by child.
    pub number: u32,
    /// The message's id.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// The child's name.
    pub to: String,
    /// What it is.
    pub kind: MessageType,
    /// What was said.
    pub payload: Payload,
}

/// How a coordinated run ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Well, with that output.
    Completed(Material),
    /// It did not work out.
    Failed(Failure),
    /// As was asked of it: it is cancelled.
    Cancelled,
}
