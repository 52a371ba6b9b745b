//! Questions to a person, and their answers: one each.
//!
//! The process that takes an answer checks it against the question's schema.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decision, Inquiry, QuestionKind, Rejection, Reply, Run};
use crate::event::{EventBody, InputProvided, InputRequested, PauseReason};
use crate::run::QUESTION_LIMIT;
use crate::{Payload, Timestamp};

/// The agent asks a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInput {
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

/// Command of a caller: answer a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvideInput {
    /// Id of the question.
    pub input_id: String,
    /// Answer; satisfies the question's schema.
    pub answer: Payload,
    /// Name of the person.
    pub by: String,
    /// Random id that tells this answer from every other one.
    pub decision_id: Option<String>,
}

impl Run {
    /// Asked again, a question that is open pauses the run again and keeps its deadline; one that
    /// is answered changes nothing.
    pub(super) fn ask_input(
        &self,
        ask: &RequestInput,
        now: Timestamp,
    ) -> Result<Decision, Rejection> {
        self.check_attempt(ask.attempt)?;
        let known = self.inputs.get(&ask.input_id);
        if known.is_some_and(|known| known.reply.is_some()) {
            return Ok(Decision::NOTHING);
        }
        if known.is_none() && self.inputs.len() >= QUESTION_LIMIT {
            return Err(self.too_many_questions());
        }
        let is_same =
            |known: &Inquiry| known.attempt == ask.attempt && known.request.park == ask.park;
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
        let request = &self.open_input(Some(&provide.input_id))?.request;
        if let Some(at) = request.deadline_ms.filter(|deadline| now >= *deadline) {
            let id = request.input_id.clone();
            return Err(Rejection::Expired { what: QuestionKind::Input, id, at });
        }
        let provided = EventBody::InputProvided(InputProvided {
            input_id: provide.input_id.clone(),
            answer: provide.answer.clone(),
            provided_by: provide.by.clone(),
            decision_id: provide.decision_id.clone(),
        });
        Ok(self.resuming_after(vec![provided], Some(&provide.by), now))
    }

    /// Returns the open question that a person means; `id` may be left out where only one is open.
    ///
    /// # Errors
    ///
    /// As [`Run::open_approval`].
    pub fn open_input(&self, id: Option<&str>) -> Result<&Inquiry, Rejection> {
        const WHAT: QuestionKind = QuestionKind::Input;
        let run_id = || self.id.clone();
        if let Some(id) = id {
            let Some(found) = self.inputs.get(id) else {
                return Err(Rejection::NotAsked {
                    run_id: run_id(),
                    what: WHAT,
                    id: id.to_owned(),
                });
            };
            return self.still_open_input(found);
        }
        let open: Vec<&Inquiry> = self.open_inputs().collect();
        match open.as_slice() {
            [only] => self.still_open_input(only),
            [] => {
                self.check_live()?;
                // A person who is late means the question that was answered last.
                match self.inputs.values().max_by_key(|it| it.reply.as_ref().map(answered_at)) {
                    Some(last) => self.still_open_input(last),
                    None => Err(Rejection::NoneAsked { run_id: run_id(), what: WHAT }),
                }
            }
            several => {
                self.check_live()?;
                let about =
                    |it: &&Inquiry| format!("  {}  {}", it.request.input_id, it.request.prompt);
                let open = several.iter().map(about).collect();
                Err(Rejection::Several { run_id: run_id(), what: WHAT, open })
            }
        }
    }

    fn still_open_input<'r>(&self, found: &'r Inquiry) -> Result<&'r Inquiry, Rejection> {
        let (what, id) = (QuestionKind::Input, found.request.input_id.clone());
        match &found.reply {
            None => {
                self.check_live()?;
                Ok(found)
            }
            Some(Reply::Expired { at }) => Err(Rejection::Expired { what, id, at: *at }),
            Some(Reply::Provided { by, at, .. }) => {
                let (by, at) = (by.clone(), *at);
                Err(Rejection::Decided { what, id, decision: "answered", by, at })
            }
        }
    }
}

const fn answered_at(reply: &Reply) -> Timestamp {
    match reply {
        Reply::Provided { at, .. } | Reply::Expired { at } => *at,
    }
}
