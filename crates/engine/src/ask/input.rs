//! Answering a question.

use errand_api::gateway::people::Provided;
use errand_model::RunId;
use errand_model::run::{Inquiry, ProvideInput, QuestionKind, Rejection, Reply, Run};
use serde_json::Value;

use super::{Error, NO_LIMIT, asking, command, new_decision_id};
use crate::{Engine, payload, people, schema};

/// Answer as a person gives it: any JSON, which may be too long for a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerDraft {
    /// Id of the question; `None`: the only one that is open.
    pub input_id: Option<String>,
    /// Answer.
    pub answer: Value,
    /// Name of the person.
    pub by: String,
    /// Id of the answer, if its author chose one: an answer that counted before changes nothing.
    pub decision_id: Option<String>,
}

/// Answers a question of a run, or of the run below a coordinator that asks it. The answer is
/// durable when this returns, and a run that waited without a process has its next attempt.
///
/// # Errors
///
/// [`Error::Rejected`] says why the question cannot be answered like this; nothing changed then.
pub async fn provide_input(
    engine: &Engine,
    run_id: &RunId,
    answer: AnswerDraft,
) -> Result<Provided, Error> {
    let asked = answer.input_id.as_deref();
    let stored = asking(engine, run_id, QuestionKind::Input, asked).await?;
    let run_id = stored.run.id.clone();
    if let Some(provided) = provided_before(&stored.run, &answer) {
        return Ok(provided);
    }
    let inquiry = stored.run.open_input(asked)?;
    let input_id = inquiry.request.input_id.clone();
    let decision_id = answer.decision_id.clone().map_or_else(new_decision_id, Ok)?;
    let mut provide = ProvideInput {
        // From here on it is this question that is meant, whatever the run asks meanwhile.
        input_id: input_id.clone(),
        answer: errand_model::Payload::Json(Value::Null),
        by: answer.by.clone(),
        decision_id: Some(decision_id.clone()),
    };
    // A question that is closed is refused as that, whatever the answer.
    stored.run.decide(&provide.clone().into(), engine.now())?;
    check_schema(inquiry, &answer.answer)?;
    people::refuse_secrets(engine, &stored.run, "answer", &answer.answer.to_string())?;
    provide.answer = payload::from_json(&engine.blobs(), answer.answer)?;
    let is_answered = |run: &Run| match run.inputs.get(&input_id).and_then(|it| it.reply.as_ref()) {
        Some(Reply::Provided { decision_id: of, .. }) => of.as_ref() == Some(&decision_id),
        Some(Reply::Expired { .. }) | None => false,
    };
    command(engine, stored, &provide.into(), NO_LIMIT, is_answered).await?;
    Ok(Provided { run_id: run_id.to_string(), input_id, answered_by: answer.by })
}

/// Returns an answer that counted before, under the same id.
fn provided_before(run: &Run, answer: &AnswerDraft) -> Option<Provided> {
    let (input_id, wanted) = (answer.input_id.as_ref()?, answer.decision_id.as_ref()?);
    match run.inputs.get(input_id)?.reply.as_ref()? {
        Reply::Provided { by, decision_id: Some(id), .. } if id == wanted => {
            let (run_id, input_id) = (run.id.to_string(), input_id.clone());
            Some(Provided { run_id, input_id, answered_by: by.clone() })
        }
        Reply::Provided { .. } | Reply::Expired { .. } => None,
    }
}

/// Refuses an answer that does not satisfy the question's schema.
fn check_schema(inquiry: &Inquiry, answer: &Value) -> Result<(), Rejection> {
    let Some(schema) = &inquiry.request.schema else { return Ok(()) };
    match schema::check_answer(schema, answer) {
        None => Ok(()),
        Some((path, reason)) => {
            let id = inquiry.request.input_id.clone();
            Err(Rejection::AnswerInvalid { id, path, reason })
        }
    }
}
