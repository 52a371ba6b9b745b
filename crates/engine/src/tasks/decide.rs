//! Decisions about questions of a task's agent.

use errand_api::gateway::task::TaskDecision;
use errand_model::run::DecideApproval;
use errand_store::Stored;

use super::{Error, FoundTask, TaskProblem};
use crate::ask::{self, AnswerDraft};
use crate::{Engine, stored};

/// Decides an approval of a task, or answers a question of it, in the name of `by`. The same decision sent
/// again changes nothing. Returns the run once it is durable.
///
/// # Errors
///
/// [`TaskProblem::Field`] for a decision that is about nothing or about two things; if the question is not
/// open, or the answer does not fit it.
pub async fn decide(
    engine: &Engine,
    found: &FoundTask,
    (decision, by): (TaskDecision, String),
) -> Result<Stored, Error> {
    let run_id = &found.stored.run.id;
    let decision_id = Some(decision.decision_id);
    match (decision.approval_id, decision.decision, decision.input_id) {
        (Some(approval_id), Some(verdict), None) => {
            let decide = DecideApproval {
                approval_id: Some(approval_id),
                decision: verdict,
                by,
                comment: decision.comment,
                digest: None,
                decision_id,
            };
            ask::decide_approval(engine, run_id, decide).await?;
        }
        (None, None, Some(input_id)) => {
            let answer = decision.answer;
            let draft = AnswerDraft { input_id: Some(input_id), answer, by, decision_id };
            ask::provide_input(engine, run_id, draft).await?;
        }
        (None | Some(_), None | Some(_), None | Some(_)) => {
            let message = "a decision has approval_id with decision, or input_id with answer";
            let (pointer, message) = (String::new(), message.to_owned());
            return Err(TaskProblem::Field { pointer, message, hint: None }.into());
        }
    }
    Ok(stored::load(engine, run_id).await?)
}
