//! Answers of people to questions: each question is answered once, also if two answer at the same
//! time.

use errand_model::RunId;
use errand_model::run::{Inquiry, ProvideInput, Reply};
use errand_store::{RequestKind, Stored};
use serde_json::Value;

use super::{TRIES, ask, new_decision_id};
use crate::people::{self, Unanswerable};
use crate::wait::{self, Waited};
use crate::{Engine, Error, payload, reconcile, unheld};

/// Answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Provide {
    /// Question to answer; `None`: the only open one.
    pub input_id: Option<String>,
    /// Answer itself.
    pub answer: Value,
    /// Person who answers.
    pub by: String,
}

/// Answers a question, and returns its id. The answer is durable when this returns, and a run that
/// waited without a process has its next attempt.
///
/// # Errors
///
/// [`Error::Unanswerable`] with the reason; nothing changed then.
pub async fn provide(engine: &Engine, run_id: &RunId, provide: &Provide) -> Result<String, Error> {
    let decision_id = new_decision_id()?;
    let mut input_id = provide.input_id.clone();
    for _ in 0..TRIES {
        let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
        if let Some(id) = input_id.as_ref().filter(|id| is_mine(&stored, id, &decision_id)) {
            return Ok(id.clone());
        }
        let inquiry = people::input(&stored.run, input_id.as_deref())?;
        check(engine, &stored, inquiry, &provide.answer)?;
        // A question asked meanwhile is not the one to answer.
        let id = inquiry.request.input_id.clone();
        input_id = Some(id.clone());
        let answer = payload::from_json(&engine.blobs(), provide.answer.clone())?;
        let given = if unheld::is_free(&stored) {
            let command = ProvideInput {
                input_id: id.clone(),
                answer,
                by: provide.by.clone(),
                decision_id: Some(decision_id.clone()),
            };
            unheld::command(engine, &stored, &command.into()).await.map(|_| true)
        } else {
            let kind = RequestKind::Provide {
                input_id: id.clone(),
                answer,
                by: provide.by.clone(),
                decision_id: decision_id.clone(),
            };
            by_supervisor(engine, &stored, &id, kind, &decision_id).await
        };
        match given {
            Ok(true) => return Ok(id),
            Ok(false) => {}
            Err(error) if unheld::is_race(&error) => {}
            // The model refused: the next round finds out why.
            Err(Error::Rejected(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Closed)
}

fn check(engine: &Engine, stored: &Stored, inquiry: &Inquiry, answer: &Value) -> Result<(), Error> {
    if let Some(at) = inquiry.request.deadline_ms.filter(|at| engine.now() >= *at) {
        let id = inquiry.request.input_id.clone();
        return Err(Unanswerable::Expired { what: "input", id, at }.into());
    }
    people::check_answer(inquiry, answer)?;
    people::refuse_secrets(engine, &stored.run, "answer", &answer.to_string())
}

/// Leaves the answer to the run's supervisor, and waits until the question is answered. Returns
/// whether this very answer was accepted.
async fn by_supervisor(
    engine: &Engine,
    stored: &Stored,
    id: &str,
    kind: RequestKind,
    decision_id: &str,
) -> Result<bool, Error> {
    ask(engine, stored, kind).await?;
    let is_settled = |stored: &Stored| {
        // In a run at rest, no supervisor reads the request.
        stored.run.status.is_terminal()
            || stored.run.is_at_rest()
            || stored.run.inputs.get(id).is_some_and(|inquiry| inquiry.reply.is_some())
    };
    let (Waited::Reached(stored) | Waited::TimedOut(stored)) =
        wait::until(engine, &stored.run.id, None, is_settled).await?;
    Ok(is_mine(&stored, id, decision_id))
}

/// Returns whether the question was answered by this very answer.
fn is_mine(stored: &Stored, id: &str, decision_id: &str) -> bool {
    match stored.run.inputs.get(id).and_then(|inquiry| inquiry.reply.as_ref()) {
        Some(Reply::Provided { decision_id: of, .. }) => of.as_deref() == Some(decision_id),
        Some(Reply::Expired { .. }) | None => false,
    }
}
