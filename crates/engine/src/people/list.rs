//! List of questions of all runs, and the deadlines that no process applies.

use std::collections::BTreeSet;

use errand_api::record::{RecordApproval, RecordInput};
use errand_model::RunId;
use errand_model::event::{EventBody, EventGroup, QuestionEvent};
use errand_store::{Namespaces, Questions, StoredQuestion};

use super::Error;
use crate::{Engine, reconcile, wait};

/// Most questions listed at once: more than anybody reads.
const LIST_LIMIT: u32 = 100_000;
/// Most runs whose deadlines are applied by one look, since each may start a helper. The rest waits
/// for the next look.
const EXPIRE_LIMIT: u32 = 1_000;

/// Question and its run.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedQuestion {
    /// Run that asks.
    pub run_id: RunId,
    /// Name of the run.
    pub run_name: Option<String>,
    /// Name of its agent.
    pub agent: String,
    /// Run that started it: the coordinator of a step.
    pub parent_run_id: Option<RunId>,
    /// Question and its answer.
    pub question: OpenQuestion,
}

/// Question to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum OpenQuestion {
    /// Request for an approval.
    Approval(Box<RecordApproval>),
    /// Question for an input.
    Input(Box<RecordInput>),
}

/// Returns the questions of all runs of those namespaces, oldest first.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    which: Questions,
    whose: &Namespaces,
) -> Result<Vec<ListedQuestion>, Error> {
    let asked = engine.store().questions(which, whose, LIST_LIMIT).await?;
    Ok(asked.into_iter().filter_map(listed).collect())
}

/// Returns a question with its run; `None` for an unreadable event, which `errand registry check`
/// reports.
fn listed(asked: StoredQuestion) -> Option<ListedQuestion> {
    let answer = asked.answered.as_ref().map(|event| (event.body(), event.at));
    let body = asked.asked.body().ok()?;
    let EventGroup::Question(event) = body.group() else { return None };
    let question = match event {
        QuestionEvent::ApprovalRequested(requested) => {
            let open = RecordApproval::open(requested, asked.asked_at);
            OpenQuestion::Approval(Box::new(match answer {
                Some((Ok(EventBody::ApprovalDecided(decided)), at)) => open.decided(&decided, at),
                Some(_) => open.closed(),
                None => open,
            }))
        }
        QuestionEvent::InputRequested(requested) => {
            let open = RecordInput::open(requested, asked.asked_at);
            OpenQuestion::Input(Box::new(match answer {
                Some((Ok(EventBody::InputProvided(given)), at)) => {
                    open.answered(&given.answer, &given.provided_by, at)
                }
                Some((Ok(EventBody::InputExpired(_)), at)) => open.expired(at),
                Some(_) => open.closed(),
                None => open,
            }))
        }
        QuestionEvent::ApprovalDecided(_)
        | QuestionEvent::InputProvided(_)
        | QuestionEvent::InputExpired(_) => return None,
    };
    Some(ListedQuestion {
        run_id: asked.run_id,
        run_name: asked.name,
        agent: asked.agent,
        parent_run_id: asked.parent_run_id,
        question,
    })
}

/// Applies passed deadlines of questions that no process waits for. Returns the errors of single
/// runs.
///
/// # Errors
///
/// If the registry fails.
pub async fn expire_due(engine: &Engine) -> Result<Vec<Error>, Error> {
    let due = engine
        .store()
        .questions(Questions::Due(engine.now()), &Namespaces::All, EXPIRE_LIMIT)
        .await?;
    let runs: BTreeSet<RunId> = due.into_iter().map(|asked| asked.run_id).collect();
    let mut wrong = Vec::new();
    for run_id in runs {
        let applied = match wait::load(engine, &run_id).await {
            Ok(stored) => reconcile::reconcile(engine, stored).await.map(drop).map_err(Error::from),
            Err(error) => Err(error.into()),
        };
        wrong.extend(applied.err());
    }
    Ok(wrong)
}
