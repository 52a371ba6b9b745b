//! `errand approvals ls`: questions to people, across all runs.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_api::error_code::ErrorCode;
use errand_api::question::{OfRun, QUESTIONS_SCHEMA, QuestionList};
use errand_api::record::{RecordApproval, RecordInput};
use errand_model::Timestamp;
use errand_store::Questions;

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{relative, spoken};
use crate::render;

/// Shown characters of a digest: enough to distinguish it from others at a glance.
const DIGEST_CHARS: usize = "sha256:".len() + 12;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List open approvals and questions, the longest waiting first; or all with -a
    Ls(Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show those that are decided, answered or expired too
    #[arg(short, long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    let Command::Ls(args) = command;
    let list = match context.place() {
        Ok(place) => {
            for failure in place.apply_due_deadlines().await? {
                // One run that cannot be brought up to date must not hide the others.
                context.printer.failure(&failure);
            }
            let which = if args.all { Questions::All } else { Questions::Open };
            place.questions(which).await?
        }
        // Without a registry there are no questions, which is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
            QuestionList { schema: QUESTIONS_SCHEMA, approvals: Vec::new(), inputs: Vec::new() }
        }
        Err(failure) => return Err(failure),
    };
    if args.json {
        context.printer.json(&list)?;
    } else {
        context.printer.line(&table(&list, args.all))?;
    }
    Ok(0)
}

fn table(list: &QuestionList, all: bool) -> String {
    use errand_agent::Clock as _;
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header =
        vec!["RUN ID", "AGENT", "ID", "ACTION", "TARGET", "SUMMARY", "DIGEST", "AGE", "DEADLINE"];
    if all {
        header.push("STATUS");
    }
    let is_of_a_step = list.approvals.iter().any(|of| of.parent_run_id.is_some())
        || list.inputs.iter().any(|of| of.parent_run_id.is_some());
    if is_of_a_step {
        header.insert(2, "PART OF");
    }
    table.set_header(header);
    let approvals = list.approvals.iter().map(|of| {
        (&of.question.requested_at_ms, approval(of, now), &of.question.status, &of.parent_run_id)
    });
    let inputs = list.inputs.iter().map(|of| {
        (&of.question.requested_at_ms, input(of, now), &of.question.status, &of.parent_run_id)
    });
    let mut rows: Vec<_> = approvals.chain(inputs).collect();
    rows.sort_by_key(|(asked_at, ..)| *asked_at);
    for (_, mut cells, status, parent) in rows {
        if is_of_a_step {
            cells.insert(2, parent.as_ref().map_or("-".to_owned(), ToString::to_string));
        }
        if all {
            cells.push(status.clone());
        }
        table.add_row(cells);
    }
    render::lines(&mut table)
}

fn deadline(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or("-".to_owned(), |at| relative(at, now))
}

fn approval(of: &OfRun<RecordApproval>, now: Timestamp) -> Vec<String> {
    let asked = &of.question;
    vec![
        of.run_id.to_string(),
        render::one_line(&of.agent),
        asked.approval_id.clone(),
        render::one_line(&asked.action),
        render::one_line(&asked.target),
        asked.summary.as_deref().map_or("-".to_owned(), render::one_line),
        asked.digest.as_str().chars().take(DIGEST_CHARS).collect(),
        spoken(now.since(asked.requested_at_ms)),
        deadline(asked.deadline_ms, now),
    ]
}

fn input(of: &OfRun<RecordInput>, now: Timestamp) -> Vec<String> {
    let asked = &of.question;
    vec![
        of.run_id.to_string(),
        render::one_line(&of.agent),
        asked.input_id.clone(),
        "input".to_owned(),
        "-".to_owned(),
        render::one_line(&asked.prompt),
        "-".to_owned(),
        spoken(now.since(asked.requested_at_ms)),
        deadline(asked.deadline_ms, now),
    ]
}
