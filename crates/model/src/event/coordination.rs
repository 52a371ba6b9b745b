//! Events of coordinated runs: what was said, and to whom it was handed.

use serde::{Deserialize, Serialize};

use super::{Failure, PauseReason};
use crate::plan::MessageType;
use crate::{Payload, RunId};

/// `message.sent`: in the journal of the coordinator once it is routed, and in the journal of the
/// agent's own run if the agent sent it itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageSent {
    /// Unique in the coordinated run. One that an agent sent itself has the same id in both
    /// journals: `<run-id>/<seq>` of the agent's run; others count: `m1`, `m2`, …
    pub id: String,
    /// A name within the plan; `__start__` for the run's own input, `__coordinator__` for what the
    /// coordination says itself.
    pub from: String,
    /// A name within the plan, or `__end__`. In the agent's own journal: as the agent said it.
    pub to: String,
    /// Type of the message.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// Content of the message.
    pub payload: Payload,
    /// The step that sent it: its key in the coordinator's journal; `None`: no step did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// `message.delivered`: messages reached an agent, each once; or did not after all, and are brought
/// again. In the coordinator's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDelivered {
    /// Ids of the messages.
    pub ids: Vec<String>,
    /// The step that got them: as the input it began with, or since it asked for the next one.
    pub step: String,
    /// Set: the step ended before it had them, and they are the first for the next run of its node.
    #[serde(default, skip_serializing_if = "is_false")]
    pub returned: bool,
}

/// `message.received`: the agent asked for the next message and got this one. In the journal of the
/// agent's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageReceived {
    /// As in [`MessageSent`].
    pub id: String,
    /// Sender.
    pub from: String,
    /// The agent's own name within the plan.
    pub to: String,
    /// Type of the message.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// Content of the message.
    pub payload: Payload,
}

/// `handoff.requested`: the agent hands its run over to another agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoffRequested {
    /// The agent, as the agent file of this one names it.
    pub to: String,
    /// Summary of the work done and left, for the other agent and for people.
    pub summary: String,
    /// Input of the other agent; `None`: this run's input.
    pub input: Option<Payload>,
    /// Names of artifacts of this run that the other one gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// The run of the other agent. It begins when this one ends well.
    pub run_id: RunId,
}

/// `coordination.began`: how much there is to do is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinationBegan {
    /// Into how many items the input is partitioned; `None`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
}

/// `coordination.settled`: it cannot end well any more, and what lives of it is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinationSettled {
    /// Error with which it will fail.
    pub error: Failure,
}

/// `child.waiting`: a child of a coordinator waits for a person, or does not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildWaiting {
    /// Its step.
    pub key: String,
    /// Reason for waiting; `None`: it no longer waits.
    pub reason: Option<PauseReason>,
}

/// `child.listening`: a child of a coordinator asks for the next message that is for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildListening {
    /// Its step.
    pub key: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(it: &bool) -> bool {
    !*it
}
