//! `errand approvals show`: questions of a run, or one of them, in full.

use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::question::{OfRun, QuestionList};
use errand_api::record::{RecordApproval, RecordInput};
use errand_model::Timestamp;
use errand_model::event::{Event, EventBody, PolicyDecided};
use errand_store::Questions;
use serde_json::{Value, json};

use crate::commands::policy;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::place::RegistryOrServer;
use crate::render;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand approvals show review               what the run waits for
  errand approvals show apr_20a310ee149e8f85")]
pub(crate) struct Args {
    /// Id of an approval or a question; or a run, for what it waits for
    #[arg(value_name = "ID|RUN")]
    what: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// An approval with the decision of the policy that asks for it, if one does.
struct ShownApproval<'a> {
    asked: &'a OfRun<RecordApproval>,
    policy: Option<PolicyDecided>,
}

/// Prints questions in full.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let place = context.place()?;
    for failure in place.apply_due_deadlines().await? {
        // One run that cannot be brought up to date must not hide the others.
        context.printer.failure(&failure);
    }
    let list = wanted(context, &place, &args.what).await?;
    let mut approvals = Vec::new();
    for asked in &list.approvals {
        let events = policy::journal(&place, &asked.run_id).await?;
        let mut policy = policy_of(&asked.question, &events);
        if let Some(decided) = &mut policy {
            policy::put_call_back(&place, &asked.run_id, decided).await?;
        }
        approvals.push(ShownApproval { asked, policy });
    }
    if args.json {
        let document = json!({
            "schema": list.schema,
            "approvals": approvals.iter().map(entry).collect::<Vec<_>>(),
            "inputs": list.inputs,
        });
        context.printer.json(&document)?;
        return Ok(0);
    }
    let now = errand_agent::SystemClock.now();
    let approvals = approvals.iter().map(|shown| approval(shown, now));
    let inputs = list.inputs.iter().map(|asked| input(asked, now));
    let all: Vec<String> = approvals.chain(inputs).collect();
    context.printer.line(&all.join("\n\n"))?;
    Ok(0)
}

/// Returns the question of an id; or the open questions of a run and of its steps, or if none is open
/// all of them.
async fn wanted(
    context: &Context,
    place: &RegistryOrServer,
    what: &str,
) -> Result<QuestionList, Failure> {
    let mut list = place.questions(Questions::All).await?;
    let is_id = list.approvals.iter().any(|it| it.question.approval_id == what)
        || list.inputs.iter().any(|it| it.question.input_id == what);
    if is_id {
        list.approvals.retain(|it| it.question.approval_id == what);
        list.inputs.retain(|it| it.question.input_id == what);
        return Ok(list);
    }
    let run_id = place.resolve(context, what).await?;
    list.approvals.retain(|it| it.run_id == run_id || it.parent_run_id.as_ref() == Some(&run_id));
    list.inputs.retain(|it| it.run_id == run_id || it.parent_run_id.as_ref() == Some(&run_id));
    let has_open = list.approvals.iter().any(|it| it.question.status == "open")
        || list.inputs.iter().any(|it| it.question.status == "open");
    if has_open {
        list.approvals.retain(|it| it.question.status == "open");
        list.inputs.retain(|it| it.question.status == "open");
    }
    if list.approvals.is_empty() && list.inputs.is_empty() {
        let message = format!("run {run_id} asks nothing and never did");
        return Err(Failure::new(ErrorCode::QuestionNotFound, message)
            .hint("`errand approvals ls -a` lists all questions"));
    }
    Ok(list)
}

/// Returns the decision of the policy that made errand ask: the last about the same call before the
/// question.
fn policy_of(asked: &RecordApproval, events: &[Event]) -> Option<PolicyDecided> {
    let mut found = None;
    for event in events {
        let Ok(body) = event.body() else { continue };
        if let EventBody::ApprovalRequested(requested) = &body
            && requested.approval_id == asked.approval_id
        {
            return found;
        }
        if let EventBody::PolicyDecided(decided) = body
            && decided.verdict == "ask"
            && decided.hook == asked.action
            && decided.subject.as_ref() == Some(&asked.target)
        {
            found = Some(decided);
        }
    }
    None
}

fn entry(shown: &ShownApproval<'_>) -> Value {
    let mut entry = json!(shown.asked);
    entry["policy"] = json!(shown.policy);
    entry
}

fn approval(shown: &ShownApproval<'_>, now: Timestamp) -> String {
    let ShownApproval { asked, policy } = shown;
    let of = &asked.question;
    let (run_id, id) = (&asked.run_id, &of.approval_id);
    let mut lines = head(id, (run_id.as_str(), &asked.agent), &of.status);
    add(&mut lines, "action", &of.action);
    add(&mut lines, "target", &of.target);
    add_some(&mut lines, "summary", of.summary.as_deref());
    add_some(&mut lines, "step", of.step.as_deref());
    add(&mut lines, "digest", of.digest.as_str());
    add(&mut lines, "asked", &relative(of.requested_at_ms, now));
    let deadline = of.deadline_ms.map(|at| relative(at, now));
    add_some(&mut lines, "deadline", deadline.as_deref());
    add_some(&mut lines, "decided by", of.decided_by.as_deref());
    add_some(&mut lines, "comment", of.comment.as_deref());
    if let Some(policy) = policy {
        add(&mut lines, "policy", &policy.policy);
        add_some(&mut lines, "reason", policy.reason.as_deref());
        if let Some(call) = &policy.call {
            add_json(&mut lines, "call", &json!(call));
        }
    }
    if of.status == "open" {
        add(&mut lines, "approve", &format!("errand approve {run_id} --approval {id}"));
        add(&mut lines, "reject", &format!("errand reject {run_id} --approval {id}"));
    }
    lines.join("\n")
}

fn input(asked: &OfRun<RecordInput>, now: Timestamp) -> String {
    let of = &asked.question;
    let (run_id, id) = (&asked.run_id, &of.input_id);
    let mut lines = head(id, (run_id.as_str(), &asked.agent), &of.status);
    add(&mut lines, "question", &of.prompt);
    add(&mut lines, "asked", &relative(of.requested_at_ms, now));
    let deadline = of.deadline_ms.map(|at| relative(at, now));
    add_some(&mut lines, "deadline", deadline.as_deref());
    if let Some(schema) = &of.schema {
        add_json(&mut lines, "schema", schema);
    }
    if of.status == "open" {
        add(&mut lines, "answer", &format!("errand input {run_id} --input {id} ANSWER"));
    }
    lines.join("\n")
}

fn head(id: &str, (run_id, agent): (&str, &str), status: &str) -> Vec<String> {
    let mut lines = Vec::new();
    add(&mut lines, "id", id);
    add(&mut lines, "run", &format!("{run_id} ({agent})"));
    add(&mut lines, "status", status);
    lines
}

fn add(lines: &mut Vec<String>, name: &str, value: &str) {
    lines.push(format!("{name:<12}{}", render::visible(value)));
}

fn add_some(lines: &mut Vec<String>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        add(lines, name, value);
    }
}

fn add_json(lines: &mut Vec<String>, name: &str, value: &Value) {
    lines.push(name.to_owned());
    lines.push(render::visible_lines(&format!("{value:#}")));
}
