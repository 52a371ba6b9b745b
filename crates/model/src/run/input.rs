//! Questions to a person, and their answers: one each.
//!
//! The process that takes an answer checks it against the question's schema.

use std::time::Duration;

use serde_json::Value;

use super::{Command, Decision, Rejection, Reply, Run};
use crate::event::{EventBody, InputProvided, InputRequested, PauseReason};
use crate::run::QUESTION_LIMIT;
use crate::{Payload, Timestamp};

/// The agent asks a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskInput {
    /// Attempt that asks.
    pub attempt: u32,
    /// Derived from what is asked: the same question has the same id.
    pub input_id: String,
    /// The question.
    pub prompt: String,
    /// A JSON Schema that the answer must satisfy.
    pub schema: Option<Value>,
    /// The step that needs it.
    pub step: Option<String>,
    /// Time limit of the answer; `None`: the agent file's, or none.
    pub timeout: Option<Duration>,
    /// True if the agent ends meanwhile.
    pub park: bool,
}

/// A person answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvideInput {
    /// The question.
    pub input_id: String,
    /// The answer; satisfies the question's schema.
    pub answer: Payload,
    /// Person who answers.
    pub by: String,
    /// Tells this answer from every other one.
    pub decision_id: Option<String>,
}

impl From<AskInput> for Command {
    fn from(ask: AskInput) -> Self {
        Self::AskInput(ask)
    }
}

impl From<ProvideInput> for Command {
    fn from(provide: ProvideInput) -> Self {
        Self::ProvideInput(provide)
    }
}

impl Run {
    /// Asked again, a question that is open pauses the run again and keeps its deadline; one that
    /// is answered changes nothing.
    pub(super) fn ask_input(&self, ask: &AskInput, now: Timestamp) -> Result<Decision, Rejection> {
        self.check_attempt(ask.attempt)?;
        let known = self.inputs.get(&ask.input_id);
        if known.is_some_and(|known| known.reply.is_some()) {
            return Ok(Decision::NOTHING);
        }
        if known.is_none() && self.inputs.len() >= QUESTION_LIMIT {
            return Err(self.too_many_questions());
        }
        let is_same =
            |known: &super::Inquiry| known.attempt == ask.attempt && known.request.park == ask.park;
        let mut events = Vec::new();
        if !known.is_some_and(is_same) {
            let deadline = match known {
                Some(known) => known.request.deadline_ms,
                None => ask.timeout.or(self.spec.timeouts.approval).map(|limit| now.plus(limit)),
            };
            events.push(EventBody::InputRequested(InputRequested {
                input_id: ask.input_id.clone(),
                prompt: ask.prompt.clone(),
                schema: ask.schema.clone(),
                step: ask.step.clone(),
                deadline_ms: deadline,
                park: ask.park,
            }));
        }
        Ok(Decision::record(self.pausing_for(PauseReason::Input, events)))
    }

    pub(super) fn provide_input(
        &self,
        provide: &ProvideInput,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        let Some(inquiry) = self.inputs.get(&provide.input_id) else {
            return Err(self.not_asked(&provide.input_id));
        };
        match &inquiry.reply {
            Some(Reply::Provided { by, .. }) => return Err(self.decided(&provide.input_id, by)),
            Some(Reply::Expired { .. }) => {
                return Err(Rejection::Expired { question: provide.input_id.clone() });
            }
            None => {}
        }
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if inquiry.request.deadline_ms.is_some_and(|deadline| now >= deadline) {
            return Err(Rejection::Expired { question: provide.input_id.clone() });
        }
        let provided = EventBody::InputProvided(InputProvided {
            input_id: provide.input_id.clone(),
            answer: provide.answer.clone(),
            provided_by: provide.by.clone(),
            decision_id: provide.decision_id.clone(),
        });
        Ok(self.resuming_after(vec![provided], Some(&provide.by), now))
    }
}
