//! Choice of the question to answer, and the check that it is still open.

use errand_model::event::ApprovalVerdict;
use errand_model::run::{Approval, Inquiry, Reply, Run};
use serde_json::Value;

use super::Unanswerable;
use crate::schema;

/// Returns the open approval with that id; `id` may be left out if only one is open.
pub(crate) fn approval<'r>(run: &'r Run, id: Option<&str>) -> Result<&'r Approval, Unanswerable> {
    const WHAT: &str = "approval";
    let run_id = || run.id.clone();
    if let Some(id) = id {
        let Some(found) = run.approvals.get(id) else {
            return Err(Unanswerable::Unknown { run_id: run_id(), what: WHAT, id: id.to_owned() });
        };
        return open_approval(run, found);
    }
    let open: Vec<&Approval> = run.open_approvals().collect();
    match open.as_slice() {
        [only] => open_approval(run, only),
        [] => {
            over(run)?;
            // A late answer is taken for the last approval, which was decided already.
            let last = run.approvals.values().max_by_key(|it| it.verdict.as_ref().map(|v| v.at));
            match last {
                Some(last) => open_approval(run, last),
                None => Err(Unanswerable::NoneOpen { run_id: run_id(), what: WHAT }),
            }
        }
        several => {
            over(run)?;
            let about = |it: &&Approval| {
                let it = &it.request;
                format!("  {}  {} on {} ({})", it.approval_id, it.action, it.target, it.digest)
            };
            let open = several.iter().map(about).collect();
            Err(Unanswerable::Several { run_id: run_id(), what: WHAT, open })
        }
    }
}

fn open_approval<'r>(run: &Run, found: &'r Approval) -> Result<&'r Approval, Unanswerable> {
    let id = found.request.approval_id.clone();
    let Some(verdict) = &found.verdict else {
        over(run)?;
        return Ok(found);
    };
    if verdict.by_deadline {
        return Err(Unanswerable::Expired { what: "approval", id, at: verdict.at });
    }
    let decision = match verdict.decision {
        ApprovalVerdict::Approve => "approved",
        ApprovalVerdict::Reject => "rejected",
    };
    let (by, at) = (verdict.decided_by.clone(), verdict.at);
    Err(Unanswerable::Decided { what: "approval", id, decision, by, at })
}

/// Returns the open question with that id; `id` may be left out if only one is open.
pub(crate) fn input<'r>(run: &'r Run, id: Option<&str>) -> Result<&'r Inquiry, Unanswerable> {
    const WHAT: &str = "input";
    let run_id = || run.id.clone();
    if let Some(id) = id {
        let Some(found) = run.inputs.get(id) else {
            return Err(Unanswerable::Unknown { run_id: run_id(), what: WHAT, id: id.to_owned() });
        };
        return open_input(run, found);
    }
    let open: Vec<&Inquiry> = run.open_inputs().collect();
    match open.as_slice() {
        [only] => open_input(run, only),
        [] => {
            over(run)?;
            match run.inputs.values().max_by_key(|it| it.reply.as_ref().map(when)) {
                Some(last) => open_input(run, last),
                None => Err(Unanswerable::NoneOpen { run_id: run_id(), what: WHAT }),
            }
        }
        several => {
            over(run)?;
            let about = |it: &&Inquiry| format!("  {}  {}", it.request.input_id, it.request.prompt);
            let open = several.iter().map(about).collect();
            Err(Unanswerable::Several { run_id: run_id(), what: WHAT, open })
        }
    }
}

fn open_input<'r>(run: &Run, found: &'r Inquiry) -> Result<&'r Inquiry, Unanswerable> {
    let (what, id) = ("input", found.request.input_id.clone());
    match &found.reply {
        None => {
            over(run)?;
            Ok(found)
        }
        Some(Reply::Expired { at }) => Err(Unanswerable::Expired { what, id, at: *at }),
        Some(Reply::Provided { by, at, .. }) => {
            let (by, at) = (by.clone(), *at);
            Err(Unanswerable::Decided { what, id, decision: "answered", by, at })
        }
    }
}

const fn when(reply: &Reply) -> errand_model::Timestamp {
    match reply {
        Reply::Provided { at, .. } | Reply::Expired { at } => *at,
    }
}

/// Refuses a run that is over.
pub(crate) fn over(run: &Run) -> Result<(), Unanswerable> {
    if run.status.is_terminal() {
        let (run_id, status) = (run.id.clone(), run.status.name());
        return Err(Unanswerable::RunOver { run_id, status });
    }
    Ok(())
}

/// Refuses an answer that does not satisfy the question's schema.
pub(crate) fn check_answer(inquiry: &Inquiry, answer: &Value) -> Result<(), Unanswerable> {
    let Some(schema) = &inquiry.request.schema else { return Ok(()) };
    match schema::check_answer(schema, answer) {
        None => Ok(()),
        Some((path, reason)) => {
            let id = inquiry.request.input_id.clone();
            Err(Unanswerable::Unfit { id, path, reason })
        }
    }
}
