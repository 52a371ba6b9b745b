//! Deciding an approval.

use errand_api::gateway::people::Decided;
use errand_model::RunId;
use errand_model::run::{DecideApproval, QuestionKind, Run};

use super::{Error, NO_LIMIT, asking, command, new_decision_id};
use crate::{Engine, people};

/// Decides an approval of a run, or of the run below a coordinator that asks for it. The decision
/// is durable when this returns, and a run that waited without a process has its next attempt. A
/// decision with an id of its own that counted before changes nothing.
///
/// # Errors
///
/// [`Error::Rejected`] says why the approval cannot be decided like this; nothing changed then.
pub async fn decide_approval(
    engine: &Engine,
    run_id: &RunId,
    mut decide: DecideApproval,
) -> Result<Decided, Error> {
    let asked = decide.approval_id.as_deref();
    let stored = asking(engine, run_id, QuestionKind::Approval, asked).await?;
    let run_id = stored.run.id.clone();
    let known = asked.and_then(|id| stored.run.approvals.get(id)?.verdict.as_ref());
    let counted =
        known.filter(|it| it.decision_id.is_some() && it.decision_id == decide.decision_id);
    if let (Some(verdict), Some(id)) = (counted, asked) {
        return Ok(Decided {
            run_id: run_id.to_string(),
            approval_id: id.to_owned(),
            decision: verdict.decision,
            decided_by: verdict.decided_by.clone(),
            comment: verdict.comment.clone(),
        });
    }
    let approval_id = stored.run.open_approval(asked)?.request.approval_id.clone();
    stored.run.decide(&decide.clone().into(), engine.now())?;
    if let Some(comment) = &decide.comment {
        people::refuse_secrets(engine, &stored.run, "comment", comment)?;
    }
    // From here on it is this approval that is meant, whatever the run asks meanwhile.
    decide.approval_id = Some(approval_id.clone());
    let decision_id = decide.decision_id.take().map_or_else(new_decision_id, Ok)?;
    decide.decision_id = Some(decision_id.clone());
    let decided = Decided {
        run_id: run_id.to_string(),
        approval_id: approval_id.clone(),
        decision: decide.decision,
        decided_by: decide.by.clone(),
        comment: decide.comment.clone(),
    };
    let is_decided = |run: &Run| {
        let verdict = run.approvals.get(&approval_id).and_then(|it| it.verdict.as_ref());
        verdict.is_some_and(|it| it.decision_id.as_ref() == Some(&decision_id))
    };
    command(engine, stored, &decide.into(), NO_LIMIT, is_decided).await?;
    Ok(decided)
}
