//! The messages of a run: what `errand messages --json` prints and the gateway lists.

use errand_model::event::{
    CoordinationEvent, Event, EventGroup, MessageDelivered, MessageSent, MessageType,
};
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::linked_value;

/// A message that was sent in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SentMessage {
    /// Its place in the run's journal: messages are listed by it.
    pub seq: u64,
    /// Unique in the coordinated run.
    pub id: String,
    /// Sender: a name within the plan, or `__start__` or `__coordinator__`.
    pub from: String,
    /// Receiver: a name within the plan, or `__end__`.
    pub to: String,
    /// Type of the message.
    #[serde(rename = "type")]
    #[schemars(with = "crate::schema::AnyMessage")]
    pub kind: MessageType,
    /// Content: JSON, else a string, else `{"$base64": …}` or `{"$blob": …}`.
    pub payload: Value,
    /// Time at which it was routed, or sent, in milliseconds since 1970.
    #[schemars(with = "i64")]
    pub at_ms: Timestamp,
    /// The step that sent it; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Step that received it; absent while it waits, and if no step receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_to: Option<String>,
    /// Time at which that step received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub delivered_at_ms: Option<Timestamp>,
}

/// A page of a run's messages, in the order in which they were sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessagePage {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// The messages.
    pub messages: Vec<SentMessage>,
    /// Value of `after` for the next page; absent at the current end of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// True if the run is over, so that no page follows the last one.
    pub is_over: bool,
}

/// Reads messages out of a journal: at most so many, and what became of them.
#[derive(Debug)]
pub struct MessageReader {
    limit: usize,
    kind: Option<MessageType>,
    messages: Vec<SentMessage>,
    next_after: Option<u64>,
}

impl MessageReader {
    /// Reads at most `limit` messages, at least one, of that type, or of any.
    pub fn new(limit: usize, kind: Option<MessageType>) -> Self {
        Self { limit: limit.max(1), kind, messages: Vec::new(), next_after: None }
    }

    /// Takes in the next event.
    pub fn push(&mut self, event: &Event) {
        if !event.kind.starts_with("message.") {
            return;
        }
        let Ok(body) = event.body() else { return };
        let EventGroup::Coordination(body) = body.group() else { return };
        match body {
            CoordinationEvent::MessageSent(sent) => self.sent(event, sent.clone()),
            CoordinationEvent::MessageDelivered(delivered) => self.delivered(event, delivered),
            CoordinationEvent::Began(_)
            | CoordinationEvent::Settled(_)
            | CoordinationEvent::MessageReceived(_)
            | CoordinationEvent::ChildWaiting(_)
            | CoordinationEvent::ChildListening(_)
            | CoordinationEvent::HandoffRequested(_) => {}
        }
    }

    /// Returns the page of messages, for a run that is over or live.
    pub fn finish(self, run_id: RunId, is_over: bool) -> MessagePage {
        MessagePage { run_id, messages: self.messages, next_after: self.next_after, is_over }
    }

    fn sent(&mut self, event: &Event, sent: MessageSent) {
        if self.kind.is_some_and(|wanted| wanted != sent.kind) {
            return;
        }
        if self.messages.len() == self.limit {
            self.next_after = self.next_after.or_else(|| self.messages.last().map(|it| it.seq));
            return;
        }
        self.messages.push(SentMessage {
            seq: event.seq,
            id: sent.id,
            from: sent.from,
            to: sent.to,
            kind: sent.kind,
            payload: linked_value(&event.run_id, Some(&sent.payload)),
            at_ms: event.at,
            step: sent.step,
            delivered_to: None,
            delivered_at_ms: None,
        });
    }

    fn delivered(&mut self, event: &Event, delivered: &MessageDelivered) {
        for id in &delivered.ids {
            let sent = self.messages.iter_mut().rev().find(|message| message.id == *id);
            let Some(sent) = sent else { continue };
            if delivered.returned {
                // The message was delivered, and not received.
                (sent.delivered_to, sent.delivered_at_ms) = (None, None);
            } else if sent.delivered_to.is_none() {
                sent.delivered_to = Some(delivered.step.clone());
                sent.delivered_at_ms = Some(event.at);
            }
        }
    }
}
