//! News of a task at a dispatcher while it lives: its state and its agent's questions are those of the run, and the
//! decisions of people go back to it.

use errand_agent::target::{Live, TaskNews};
use errand_api::gateway::task::{TaskDecision, TaskQuestions};
use errand_api::record::{RecordApproval, RecordInput};
use errand_model::event::{ApprovalVerdict, EventBody, TaskChanged};
use errand_model::run::{
    Approval, AttemptReport, Command, DecideApproval, Effect, Inquiry, ProvideInput, Reply,
    RequestApproval, RequestInput, Run,
};
use errand_model::{Payload, Timestamp};
use serde_json::Value;

use crate::error::CodedError as _;
use crate::journal::{self, Journal};
use crate::{Engine, Error, payload};

/// Records what is new about the task of an attempt, at that time. Returns the effects of answers that were given at its dispatcher.
///
/// # Errors
///
/// If the journal is lost.
pub(super) fn record(
    journal: &Journal,
    at: (u32, Timestamp),
    news: &TaskNews,
) -> Result<Vec<Effect>, Error> {
    changed(journal, at.0, &news.changed)?;
    asked(journal, at, &news.questions)
}

/// Records the questions of the task of an attempt, and how they were settled at its dispatcher. Returns the
/// effects.
///
/// # Errors
///
/// If the journal is lost.
pub(super) fn asked(
    journal: &Journal,
    at: (u32, Timestamp),
    questions: &TaskQuestions,
) -> Result<Vec<Effect>, Error> {
    let mut effects = Vec::new();
    for asked in &questions.approvals {
        for command in approval(journal, at, asked) {
            effects.extend(decided(journal, &command)?);
        }
    }
    for asked in &questions.inputs {
        for command in input(journal, at, asked) {
            effects.extend(decided(journal, &command)?);
        }
    }
    Ok(effects)
}

/// Waits until the run has settled another number of questions than `known`.
pub(super) async fn settled(journal: &Journal, known: usize) -> usize {
    let count = |run: &Run| {
        let approvals = run.approvals.values().filter(|it| it.verdict.is_some()).count();
        let inputs = run.inputs.values().filter(|it| it.reply.is_some()).count();
        Some(approvals + inputs).filter(|count| *count != known)
    };
    match journal.until(count).await {
        Ok(count) => count,
        // The loss of the journal is reported elsewhere.
        Err(_) => std::future::pending().await,
    }
}

/// Tells a task what people decided and answered.
///
/// # Errors
///
/// If an answer cannot be read.
pub(super) fn settle(engine: &Engine, journal: &Journal, live: &dyn Live) -> Result<(), Error> {
    let (mut decisions, answers) = journal.look(|run, _| (verdicts(run), replies(run)));
    let blobs = engine.blobs();
    for (decision, answer) in answers {
        let answer = payload::to_json(&blobs, &answer)?;
        decisions.push(TaskDecision { answer, ..decision });
    }
    live.settle_questions(decisions);
    Ok(())
}

/// Records the state of a task, unless an earlier supervisor did.
fn changed(journal: &Journal, attempt: u32, task: &TaskChanged) -> Result<(), Error> {
    let is_known = journal.look(|run, _| {
        let locator = run.live_attempt().and_then(|live| live.locator.as_ref());
        locator.is_some_and(|locator| {
            let ports = locator.fields.get("ports").and_then(|ports| ports.as_array());
            locator.fields.get("status").and_then(|it| it.as_str()) == Some(&task.status)
                && ports == Some(&task.ports)
        })
    });
    if !is_known {
        let events = vec![EventBody::TaskChanged(task.clone())];
        journal.record(&AttemptReport { attempt, events }.into(), &[])?;
    }
    Ok(())
}

/// Decides a command about a question. One that the model refuses is about a question that is settled.
fn decided(journal: &Journal, command: &Command) -> Result<Vec<Effect>, Error> {
    match journal.record(command, &[]) {
        Ok((decision, _)) => Ok(decision.effects),
        Err(error) if error.rejection().is_some() => Ok(Vec::new()),
        Err(journal::Error::Ending(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the commands by which an approval of a task is one of the run: that it is asked, and that it was
/// decided at the dispatcher.
fn approval(
    journal: &Journal,
    (attempt, now): (u32, Timestamp),
    asked: &RecordApproval,
) -> Vec<Command> {
    let known = journal.look(|run, _| run.approvals.get(&asked.approval_id).cloned());
    let decision = match asked.status.as_str() {
        "open" => None,
        "approved" => Some(ApprovalVerdict::Approve),
        "rejected" => Some(ApprovalVerdict::Reject),
        _ => return Vec::new(),
    };
    if known.as_ref().is_some_and(|known| known.verdict.is_some()) {
        return Vec::new();
    }
    let ask = RequestApproval {
        attempt,
        approval_id: asked.approval_id.clone(),
        action: asked.action.clone(),
        target: asked.target.clone(),
        digest: asked.digest.clone(),
        summary: asked.summary.clone(),
        step: asked.step.clone(),
        timeout: asked.deadline_ms.map(|at| at.since(now)),
        default: asked.default,
        // The task lives on at its dispatcher, whether its agent does or not.
        park: false,
    };
    let decide = decision.map(|decision| DecideApproval {
        approval_id: Some(asked.approval_id.clone()),
        decision,
        by: asked.decided_by.clone().unwrap_or_default(),
        comment: asked.comment.clone(),
        digest: None,
        decision_id: None,
    });
    let is_asked = known.is_some_and(|known| known.attempt == attempt);
    let ask = (!is_asked).then(|| ask.into());
    ask.into_iter().chain(decide.map(Into::into)).collect()
}

/// Returns the commands by which a question of a task is one of the run, as [`approval`] does.
fn input(journal: &Journal, (attempt, now): (u32, Timestamp), asked: &RecordInput) -> Vec<Command> {
    let known = journal.look(|run, _| run.inputs.get(&asked.input_id).cloned());
    let is_answered = asked.status == "answered";
    let is_settled = known.as_ref().is_some_and(|known| known.reply.is_some());
    if is_settled || !(is_answered || asked.status == "open") {
        return Vec::new();
    }
    let ask = RequestInput {
        attempt,
        input_id: asked.input_id.clone(),
        prompt: asked.prompt.clone(),
        schema: asked.schema.clone(),
        step: asked.step.clone(),
        timeout: asked.deadline_ms.map(|at| at.since(now)),
        park: false,
    };
    let provide = is_answered.then(|| ProvideInput {
        input_id: asked.input_id.clone(),
        answer: Payload::Json(asked.answer.clone()),
        by: asked.answered_by.clone().unwrap_or_default(),
        decision_id: None,
    });
    let is_asked = known.is_some_and(|known| known.attempt == attempt);
    let ask = (!is_asked).then(|| ask.into());
    ask.into_iter().chain(provide.map(Into::into)).collect()
}

/// Returns the decisions of a run's approvals.
fn verdicts(run: &Run) -> Vec<TaskDecision> {
    let decision = |(id, approval): (&String, &Approval)| {
        let verdict = approval.verdict.as_ref()?;
        Some(TaskDecision {
            decision_id: decision_id(run, id, verdict.decision_id.as_ref()),
            approval_id: Some(id.clone()),
            decision: Some(verdict.decision),
            comment: verdict.comment.clone(),
            input_id: None,
            answer: Value::Null,
            by: Some(verdict.decided_by.clone()),
        })
    };
    run.approvals.iter().filter_map(decision).collect()
}

/// Returns the answers to a run's questions, each with a decision that lacks only it.
fn replies(run: &Run) -> Vec<(TaskDecision, Payload)> {
    let reply = |(id, inquiry): (&String, &Inquiry)| match inquiry.reply.as_ref()? {
        Reply::Provided { answer, by, decision_id: given, .. } => {
            let decision = TaskDecision {
                decision_id: decision_id(run, id, given.as_ref()),
                approval_id: None,
                decision: None,
                comment: None,
                input_id: Some(id.clone()),
                answer: Value::Null,
                by: Some(by.clone()),
            };
            Some((decision, answer.clone()))
        }
        // The dispatcher has the same deadline.
        Reply::Expired { .. } => None,
    };
    run.inputs.iter().filter_map(reply).collect()
}

/// Returns the id of a decision: its own, or one that is the same each time it is sent.
fn decision_id(run: &Run, question: &str, given: Option<&String>) -> String {
    given.cloned().unwrap_or_else(|| format!("{}.{question}", run.id))
}
