//! Routes of messages: along edges, or to the agent that is named.

use serde_json::{Value, json};

use super::TurnContext;
use crate::Payload;
use crate::coordination::material::{NOTHING, value_of};
use crate::coordination::{ChildSaid, Control, LiveChild, Shared};
use crate::error_code::ErrorCode;
use crate::event::{
    CancelCause, CancelRequested, EventBody, Failure, MessageDelivered, MessageSent, PauseReason,
    RunPaused, RunResumed,
};
use crate::plan::{END, Edge, MessageType, NEXT, PREV, SELF, split_key};

/// Time for agents to end by themselves if another agent cancels the run.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// A message that is not sent yet.
pub(super) struct Draft {
    /// `None`: the next number.
    pub(super) id: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) kind: MessageType,
    pub(super) payload: Option<Payload>,
    pub(super) step: Option<String>,
}

impl TurnContext<'_> {
    /// Sends a message, unless nothing is sent any more, or it is one too many.
    pub(super) fn send(&mut self, draft: Draft) {
        let Some(graph) = &self.graph else { return };
        let limit = graph.max_messages;
        if self.is_over() {
            return;
        }
        if self.state.routing.messages >= limit {
            let message = format!(
                "the run may send {limit} messages, and {} sends one more to {}",
                draft.from, draft.to
            );
            self.fail_with(ErrorCode::TooManyMessages, message, draft.step.as_deref());
            return;
        }
        let id = draft.id.unwrap_or_else(|| format!("m{}", self.state.messages + 1));
        self.record(EventBody::MessageSent(MessageSent {
            id,
            from: draft.from,
            to: draft.to,
            kind: draft.kind,
            payload: draft.payload.unwrap_or(NOTHING),
            step: draft.step,
        }));
    }

    /// The nodes to which the edges of a node carry such a message, each once. Of messages with a
    /// type that only an edge which names it takes, `is_named` asks for those.
    fn takers(
        &self,
        name: &str,
        wrote: Option<&str>,
        kind: MessageType,
        value: &Value,
    ) -> Vec<String> {
        let Some(graph) = &self.graph else { return Vec::new() };
        let Some(spot) = graph.spot(name) else { return Vec::new() };
        let previous = graph.previous(name, wrote);
        let mut takers = Vec::new();
        for edge in &spot.edges {
            let holds = match &edge.when {
                Some(when) => when.holds(kind, value),
                None => kind != MessageType::Error,
            };
            let target = graph.target(&edge.to, name, previous).filter(|_| holds);
            takers.extend(target.filter(|target| !takers.contains(target)));
        }
        takers
    }

    /// Sends what came of a step along all edges that take it.
    pub(super) fn route_output(
        &mut self,
        key: &str,
        wrote: Option<&str>,
        output: Option<&Payload>,
        value: &Value,
    ) {
        let (name, _) = split_key(key);
        for to in self.takers(name, wrote, MessageType::Result, value) {
            self.send(Draft {
                id: None,
                from: name.to_owned(),
                to,
                kind: MessageType::Result,
                payload: output.cloned(),
                step: Some(key.to_owned()),
            });
        }
    }

    /// Sends what went wrong along all edges that take it; if none does, the run fails.
    pub(super) fn route_failure(&mut self, key: &str, child: &LiveChild, error: &Failure) {
        let name = &child.name;
        let said = json!({
            "code": error.code,
            "message": error.message,
            "node": name,
            "run_id": child.run_id,
        });
        let takers = self.takers(name, child.previous.as_deref(), MessageType::Error, &said);
        if takers.is_empty() && !child.is_stopping {
            self.fail(child_failed(key, child.run_id.as_str(), error));
        }
        for to in takers {
            self.send(Draft {
                id: None,
                from: name.clone(),
                to,
                kind: MessageType::Error,
                payload: Some(Payload::Json(said.clone())),
                step: Some(key.to_owned()),
            });
        }
    }

    /// A child wrote a message. What it may not write is dropped: it was refused to its face.
    pub(super) fn say(&mut self, said: &ChildSaid) {
        let Some((key, child)) = self.child(&said.run_id) else { return };
        let Some(graph) = &self.graph else { return };
        if child.has_said(&said.id) {
            return;
        }
        let (name, wrote) = (child.name.clone(), child.previous.clone());
        let previous = graph.previous(&name, wrote.as_deref());
        let to = match said.to.as_str() {
            NEXT => self.takers(&name, wrote.as_deref(), said.kind, &said.said.value),
            SELF => vec![name.clone()],
            PREV => previous.map(str::to_owned).into_iter().collect(),
            to if graph.may_write(&name, to, previous) => vec![to.to_owned()],
            _ => Vec::new(),
        };
        let mut payload = said.said.payload.clone();
        if said.kind == MessageType::Control && said.said.value.is_object() {
            payload = Some(Payload::Json(said.said.value.clone()));
        }
        for (at, to) in to.into_iter().enumerate() {
            let id = if at == 0 { said.id.clone() } else { format!("{}+{at}", said.id) };
            let is_for_run = said.kind == MessageType::Control && to == END && !self.is_over();
            self.send(Draft {
                id: Some(id),
                from: name.clone(),
                to,
                kind: said.kind,
                payload: payload.clone(),
                step: Some(key.clone()),
            });
            if let Some(payload) = payload.as_ref().filter(|_| is_for_run) {
                self.control_run(&name, payload);
            }
        }
    }

    /// An agent pauses, resumes or cancels the whole run.
    fn control_run(&mut self, name: &str, payload: &Payload) {
        let by = Some(name.to_owned());
        match Control::read(payload) {
            Some(Control::Pause) if !self.is_held() => {
                let reason = PauseReason::Operator;
                self.record(EventBody::RunPaused(RunPaused::new(reason, by)));
            }
            Some(Control::Resume) if self.paused == Some(PauseReason::Operator) => {
                self.record(EventBody::RunResumed(RunResumed { by }));
            }
            Some(Control::Cancel) => {
                let cause = CancelCause::Stopped;
                self.record(EventBody::CancelRequested(CancelRequested {
                    cause,
                    by,
                    grace: GRACE,
                }));
            }
            Some(Control::Pause | Control::Resume) | None => {}
        }
    }

    /// Repeats the messages of a completed step, in a pass through the plan that began anew.
    /// Messages that it had not sent yet follow from its output; `false`: the output has to be
    /// loaded first.
    pub(super) fn say_again(&mut self, key: &str, ids: Vec<String>) -> bool {
        let (name, _) = split_key(key);
        let Some(done) = self.state.done.get(key).cloned() else { return false };
        let said = done.said.iter().filter(|letter| letter.kind != MessageType::Control);
        let said: Vec<_> = said.collect();
        let output = done.output.as_ref().map(Shared::get);
        let value = match (self.recalled.get(key), output) {
            (Some(value), _) => value.clone(),
            (None, Some(blob @ Payload::Blob(_))) if said.is_empty() && self.looks_into(name) => {
                self.turn.recalls.push((key.to_owned(), blob.clone()));
                return false;
            }
            (None, output) => output.map_or(Value::Null, value_of),
        };
        let wrote = self.wrote(name, &ids);
        let delivered = MessageDelivered { ids, step: key.to_owned(), returned: false };
        self.record(EventBody::MessageDelivered(delivered));
        if said.is_empty() {
            self.route_output(key, wrote.as_deref(), output, &value);
        }
        for letter in said {
            self.send(Draft {
                id: None,
                from: name.to_owned(),
                to: letter.to.clone(),
                kind: letter.kind,
                payload: Some(letter.payload.get().clone()),
                step: Some(key.to_owned()),
            });
        }
        true
    }

    /// Returns true if an edge of a node depends on the message's content.
    fn looks_into(&self, name: &str) -> bool {
        let spot = self.graph.as_ref().and_then(|graph| graph.spot(name));
        let looks = |edge: &Edge| edge.when.as_ref().is_some_and(|when| !when.payload.is_empty());
        spot.is_some_and(|spot| spot.edges.iter().any(looks))
    }

    /// Returns the sender of the last of those messages in a node's queue.
    fn wrote(&self, name: &str, ids: &[String]) -> Option<String> {
        let last = ids.last()?;
        let queue = &self.state.routing.nodes.get(name)?.queue;
        queue.iter().find(|letter| letter.id == *last).map(|letter| letter.from.clone())
    }
}

/// A run that fails since a child did.
pub(super) fn child_failed(key: &str, run_id: &str, error: &Failure) -> Failure {
    let (name, _) = split_key(key);
    Failure {
        code: ErrorCode::ChildFailed.into(),
        message: format!("{name} failed (run {run_id}): {}: {}", error.code, error.message),
        step: Some(key.to_owned()),
        retryable: error.retryable,
        stderr_tail: error.stderr_tail.clone(),
    }
}
