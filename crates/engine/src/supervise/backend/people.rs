//! Questions of the agent to people.
//!
//! A question is recorded; then the call waits for its answer, woken only by the commit that brings
//! it.

use errand_agent::agent_api::{ApprovalCall, InputCall, Refusal, Terms};
use errand_api::agent_protocol::{ApprovalAnswer, InputAnswer, InputStatus};
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use errand_model::event::{CheckbackRefused, EventBody};
use errand_model::run::{self, Command, Rejection, Reply, Run, Verdict};
use serde_json::{Value, json};

use super::{AttemptBackend, refusal};
use crate::{Error, payload, schema};

/// Characters of an id after its prefix: 64 bits, of which a run has at most a thousand.
const ID_CHARS: usize = 16;

/// Approval that was asked for, with its id.
pub(in crate::supervise) struct AskedApproval {
    pub(in crate::supervise) approval_id: String,
    pub(in crate::supervise) action: String,
    pub(in crate::supervise) target: String,
    pub(in crate::supervise) digest: Digest,
    summary: Option<String>,
    pub(in crate::supervise) step: Option<String>,
}

/// Question that was asked, with its id.
pub(in crate::supervise) struct AskedInput {
    pub(in crate::supervise) input_id: String,
    pub(in crate::supervise) prompt: String,
    schema: Option<Value>,
    pub(in crate::supervise) step: Option<String>,
}

/// Returns the answer to the agent's request for an approval.
pub(in crate::supervise) fn approval_answer(
    id: String,
    digest: String,
    verdict: Option<Verdict>,
    park: bool,
) -> ApprovalAnswer {
    ApprovalAnswer {
        approval_id: id,
        decision: verdict.as_ref().map(|verdict| verdict.decision),
        digest,
        parked: verdict.is_none() && park,
        by_deadline: verdict.as_ref().is_some_and(|verdict| verdict.by_deadline),
        decided_by: verdict.as_ref().map(|verdict| verdict.decided_by.clone()),
        comment: verdict.and_then(|verdict| verdict.comment),
    }
}

impl AttemptBackend {
    pub(super) async fn approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        let asked = self.asked_approval(&ask, str::to_owned);
        let id = asked.approval_id.clone();
        let command = run::RequestApproval {
            attempt: self.attempt,
            approval_id: asked.approval_id,
            action: asked.action,
            target: asked.target,
            digest: asked.digest,
            summary: asked.summary,
            step: asked.step,
            timeout: ask.terms.timeout,
            default: ask.default.unwrap_or_default(),
            park: ask.terms.park,
        };
        let terms = ask.terms;
        let verdict = self.ask(command.into(), &terms, |run| verdict(run, &id)).await?;
        let digest = self
            .journal
            .look(|run, _| run.approvals.get(&id).map(|approval| approval.request.digest.clone()));
        let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
        Ok(approval_answer(id, digest, verdict, terms.park))
    }

    /// Returns the approval as it is recorded: masked, and with the replacements of `words`.
    pub(in crate::supervise) fn asked_approval(
        &self,
        ask: &ApprovalCall,
        words: impl Fn(&str) -> String,
    ) -> AskedApproval {
        let words = |text: &str| words(&self.redactor.redact(text));
        let (action, target) = (words(&ask.action), words(&ask.target));
        let summary = ask.summary.as_deref().map(words);
        let (step, key) =
            (ask.terms.step.as_deref().map(words), ask.terms.key.as_deref().map(words));
        let digest = ask.digest.clone().unwrap_or_else(|| {
            digest_of(&json!({ "action": action, "target": target, "summary": summary }))
        });
        let question = json!({
            "action": action, "target": target, "digest": digest, "step": step, "key": key,
        });
        let approval_id = id_of("apr_", &question);
        AskedApproval { approval_id, action, target, digest, summary, step }
    }

    pub(super) async fn input_of(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        if let Some(schema) = &ask.schema {
            let refused = |error: &Error| {
                Refusal::new(422, ErrorCode::SchemaInvalid, super::super::outcome::chain(error))
            };
            schema::check_question(schema).map_err(|error| refused(&error.into()))?;
        }
        let asked = self.asked_input(&ask, str::to_owned);
        let id = asked.input_id.clone();
        let command = run::RequestInput {
            attempt: self.attempt,
            input_id: asked.input_id,
            prompt: asked.prompt,
            schema: asked.schema,
            step: asked.step,
            timeout: ask.terms.timeout,
            park: ask.terms.park,
        };
        let terms = ask.terms;
        let reply = self.ask(command.into(), &terms, |run| reply(run, &id)).await?;
        self.input_answer(id, reply, terms.park)
    }

    /// Returns the question as it is recorded: masked, and with the replacements of `words`.
    pub(in crate::supervise) fn asked_input(
        &self,
        ask: &InputCall,
        words: impl Fn(&str) -> String,
    ) -> AskedInput {
        let words = |text: &str| words(&self.redactor.redact(text));
        let prompt = words(&ask.prompt);
        let schema = ask.schema.clone().map(|schema| self.masked_json(schema));
        let (step, key) =
            (ask.terms.step.as_deref().map(words), ask.terms.key.as_deref().map(words));
        let question = json!({ "prompt": prompt, "schema": schema, "step": step, "key": key });
        AskedInput { input_id: id_of("inp_", &question), prompt, schema, step }
    }

    /// Returns the answer to the agent's question.
    pub(in crate::supervise) fn input_answer(
        &self,
        id: String,
        reply: Option<Reply>,
        park: bool,
    ) -> Result<InputAnswer, Refusal> {
        let status = match &reply {
            None if park => InputStatus::Parked,
            None => InputStatus::Waiting,
            Some(Reply::Expired { .. }) => InputStatus::Expired,
            Some(Reply::Provided { .. }) => InputStatus::Answered,
        };
        let (answer, answered_by) = match reply {
            Some(Reply::Provided { answer, by, .. }) => {
                let answer = payload::to_json(&self.engine.blobs(), &answer)
                    .map_err(|error| refusal(&error.into()))?;
                (Some(answer), Some(by))
            }
            Some(Reply::Expired { .. }) | None => (None, None),
        };
        Ok(InputAnswer { input_id: id, status, answer, answered_by })
    }

    /// Records a question and waits for its answer, found by `find`, as long as the terms allow.
    async fn ask<T>(
        &self,
        command: Command,
        terms: &Terms,
        find: impl Fn(&Run) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        self.journal.command(&command).await.map_err(|error| asked_in_vain(&error.into()))?;
        // Deadlines may have changed.
        self.steps_changed.notify_one();
        if terms.park || terms.wait.is_zero() {
            return Ok(self.journal.look(|run, _| find(run)));
        }
        match tokio::time::timeout(terms.wait, self.journal.until(find)).await {
            Ok(found) => found.map(Some).map_err(|error| refusal(&error.into())),
            Err(_) => Ok(None),
        }
    }

    /// Applies the deadlines of questions when they are due, for as long as the attempt lasts. Its
    /// owner ends it.
    pub(in crate::supervise) async fn keep_deadlines(self: std::sync::Arc<Self>) {
        // A run that is being ended accepts no answers.
        let next = |run: &Run| run.answer_deadline().filter(|_| run.cancel_requested.is_none());
        while self.reached(next).await {
            match self.journal.command(&run::Expire {}.into()).await {
                Ok(decision) => self.order(decision.effects),
                // The attempt is over, or the journal is lost: both are reported elsewhere.
                Err(_) => return,
            }
        }
    }

    /// Records that a result was refused, and returns the refusal.
    pub(super) async fn refuse_checkback(&self, status: String) -> Refusal {
        let code = ErrorCode::TerminalConflict;
        let message = "the attempt reported a different result already";
        let refused = CheckbackRefused {
            status,
            code: code.as_str().to_owned(),
            message: message.to_owned(),
        };
        match self.report_all(vec![EventBody::CheckbackRefused(refused)]).await {
            Ok(()) => Refusal::new(409, code, message),
            Err(refusal) => refusal,
        }
    }
}

fn verdict(run: &Run, id: &str) -> Option<Verdict> {
    run.approvals.get(id)?.verdict.clone()
}

fn reply(run: &Run, id: &str) -> Option<Reply> {
    run.inputs.get(id)?.reply.clone()
}

fn digest_of(question: &Value) -> Digest {
    Digest::of(errand_model::canonical::to_string(question).as_bytes())
}

/// Returns the id of a question, the same for the same question, so that an agent that asks again
/// finds its answer.
fn id_of(prefix: &str, question: &Value) -> String {
    let digest = digest_of(question);
    let hex: String = digest.hex().chars().take(ID_CHARS).collect();
    format!("{prefix}{hex}")
}

fn asked_in_vain(error: &Error) -> Refusal {
    if let Error::Rejected(rejection @ Rejection::TooManyQuestions { .. }) = error {
        return Refusal::new(409, ErrorCode::TooManyQuestions, rejection.to_string())
            .with_hint("ask the same question with the same --digest or --key");
    }
    refusal(error)
}
