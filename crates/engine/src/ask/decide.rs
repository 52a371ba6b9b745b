//! Decisions of people on approvals: each approval is decided once, also if two decide at the same
//! time.

use errand_model::event::ApprovalVerdict;
use errand_model::run::{Approval, DecideApproval, Verdict};
use errand_model::{Digest, RunId};
use errand_store::{RequestKind, Stored};

use super::{TRIES, ask, new_decision_id};
use crate::people::{self, Unanswerable};
use crate::wait::{self, Waited};
use crate::{Engine, Error, reconcile, unheld};

/// Decision on an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decide {
    /// Approval to decide; `None`: the only open one.
    pub approval_id: Option<String>,
    /// Decision itself.
    pub verdict: ApprovalVerdict,
    /// Person who decides.
    pub by: String,
    /// Comment of that person.
    pub comment: Option<String>,
    /// Digest of the material that the person read; refused if the approval has another.
    pub digest: Option<Digest>,
}

/// Decides an approval. The decision is durable when this returns, and a run that waited without a
/// process has its next attempt.
///
/// # Errors
///
/// [`Error::Unanswerable`] with the reason; nothing changed then.
pub async fn decide(engine: &Engine, run_id: &RunId, decide: &Decide) -> Result<Approval, Error> {
    let decision_id = new_decision_id()?;
    let mut approval_id = decide.approval_id.clone();
    for _ in 0..TRIES {
        let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
        if let Some(mine) = mine(&stored, approval_id.as_deref(), &decision_id) {
            return Ok(mine);
        }
        let approval = people::approval(&stored.run, approval_id.as_deref())?;
        check(engine, &stored, approval, decide)?;
        // An approval requested meanwhile is not the one to decide.
        let id = approval.request.approval_id.clone();
        approval_id = Some(id.clone());
        let decided = if unheld::is_free(&stored) {
            at_rest(engine, &stored, &id, decide, &decision_id).await
        } else {
            by_supervisor(engine, &stored, &id, decide, &decision_id).await
        };
        match decided {
            Ok(Some(approval)) => return Ok(approval),
            Ok(None) => {}
            Err(error) if unheld::is_race(&error) => {}
            // The model refused: the next round finds out why.
            Err(Error::Rejected(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Closed)
}

fn check(
    engine: &Engine,
    stored: &Stored,
    approval: &Approval,
    decide: &Decide,
) -> Result<(), Error> {
    let request = &approval.request;
    let id = request.approval_id.clone();
    if let Some(given) = decide.digest.clone().filter(|given| *given != request.digest) {
        let asked = request.digest.clone();
        return Err(Unanswerable::OtherDigest { id, asked, given }.into());
    }
    if let Some(at) = request.deadline_ms.filter(|at| engine.now() >= *at) {
        return Err(Unanswerable::Expired { what: "approval", id, at }.into());
    }
    match &decide.comment {
        Some(comment) => people::refuse_secrets(engine, &stored.run, "comment", comment),
        None => Ok(()),
    }
}

async fn at_rest(
    engine: &Engine,
    stored: &Stored,
    id: &str,
    decide: &Decide,
    decision_id: &str,
) -> Result<Option<Approval>, Error> {
    let command = DecideApproval {
        approval_id: id.to_owned(),
        decision: decide.verdict,
        by: decide.by.clone(),
        comment: decide.comment.clone(),
        digest: decide.digest.clone(),
        decision_id: Some(decision_id.to_owned()),
    };
    unheld::command(engine, stored, &command.into()).await?;
    let Some(approval) = stored.run.approvals.get(id) else { return Ok(None) };
    let verdict = Verdict {
        decision: decide.verdict,
        decided_by: decide.by.clone(),
        comment: decide.comment.clone(),
        by_deadline: false,
        at: engine.now(),
        decision_id: Some(decision_id.to_owned()),
    };
    Ok(Some(Approval { verdict: Some(verdict), ..approval.clone() }))
}

/// Leaves the decision to the run's supervisor, and waits until the approval is decided.
async fn by_supervisor(
    engine: &Engine,
    stored: &Stored,
    id: &str,
    decide: &Decide,
    decision_id: &str,
) -> Result<Option<Approval>, Error> {
    let kind = RequestKind::Decide {
        approval_id: id.to_owned(),
        verdict: decide.verdict,
        by: decide.by.clone(),
        comment: decide.comment.clone(),
        decision_id: decision_id.to_owned(),
    };
    ask(engine, stored, kind).await?;
    let is_settled = |stored: &Stored| {
        // In a run at rest, no supervisor reads the request.
        stored.run.status.is_terminal()
            || stored.run.is_at_rest()
            || stored.run.approvals.get(id).is_some_and(|approval| approval.verdict.is_some())
    };
    let (Waited::Reached(stored) | Waited::TimedOut(stored)) =
        wait::until(engine, &stored.run.id, None, is_settled).await?;
    // A faster decision is reported in the next round.
    Ok(mine(&stored, Some(id), decision_id))
}

/// Returns the approval, if it was decided by this very decision.
fn mine(stored: &Stored, id: Option<&str>, decision_id: &str) -> Option<Approval> {
    let approval = stored.run.approvals.get(id?)?;
    let by = approval.verdict.as_ref()?.decision_id.as_deref();
    (by == Some(decision_id)).then(|| approval.clone())
}
