//! `errand approvals ls`: what people are asked, across all runs.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_api::error_code::ErrorCode;
use errand_api::record::{RecordApproval, RecordInput};
use errand_engine::people::{self, Listed, Question};
use errand_model::Timestamp;
use errand_store::Questions;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{relative, spoken};
use crate::render;

/// How much of a digest is shown: enough to tell it from others at a glance.
const DIGEST_CHARS: usize = "sha256:".len() + 12;

/// What can be done with questions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List open approvals and questions, the longest waiting first; or all with -a
    Ls(Args),
}

/// Arguments of `errand approvals ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show those that are decided, answered or expired too
    #[arg(short, long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    let Command::Ls(args) = command;
    let engine = match context.engine() {
        Ok(engine) => engine,
        // No registry: nobody asked anything, and that is no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
            return show(context, &args, &[]);
        }
        Err(failure) => return Err(failure),
    };
    for error in people::expire_due(&engine).await? {
        // One run that cannot be brought up to date must not hide the others.
        context.printer.failure(&error.into());
    }
    let which = if args.all { Questions::All } else { Questions::Open };
    show(context, &args, &people::list(&engine, which).await?)
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    approvals: Vec<Row<'a, &'a RecordApproval>>,
    inputs: Vec<Row<'a, &'a RecordInput>>,
}

#[derive(Debug, Serialize)]
struct Row<'a, T> {
    run_id: &'a str,
    run_name: Option<&'a str>,
    agent: &'a str,
    #[serde(flatten)]
    question: T,
}

fn show(context: &Context, args: &Args, listed: &[Listed]) -> Result<u8, Failure> {
    if !args.json {
        context.printer.line(&table(listed, args.all))?;
        return Ok(0);
    }
    let (mut approvals, mut inputs) = (Vec::new(), Vec::new());
    for of in listed {
        let (run_id, run_name) = (of.run_id.as_str(), of.run_name.as_deref());
        let agent = of.agent.as_str();
        match &of.question {
            Question::Approval(question) => {
                approvals.push(Row { run_id, run_name, agent, question: question.as_ref() });
            }
            Question::Input(question) => {
                inputs.push(Row { run_id, run_name, agent, question: question.as_ref() });
            }
        }
    }
    context.printer.json(&Document { schema: 1, approvals, inputs })?;
    Ok(0)
}

fn table(listed: &[Listed], all: bool) -> String {
    use errand_agent::Clock as _;
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header =
        vec!["RUN ID", "AGENT", "ID", "ACTION", "TARGET", "SUMMARY", "DIGEST", "AGE", "DEADLINE"];
    if all {
        header.push("STATUS");
    }
    table.set_header(header);
    for row in listed {
        let mut cells = cells(row, now);
        if all {
            cells.push(match &row.question {
                Question::Approval(approval) => approval.status.clone(),
                Question::Input(input) => input.status.clone(),
            });
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn cells(row: &Listed, now: Timestamp) -> Vec<String> {
    let deadline = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| relative(at, now));
    let (run, agent) = (row.run_id.to_string(), render::one_line(&row.agent));
    match &row.question {
        Question::Approval(approval) => vec![
            run,
            agent,
            approval.approval_id.clone(),
            render::one_line(&approval.action),
            render::one_line(&approval.target),
            approval.summary.as_deref().map_or("-".to_owned(), render::one_line),
            approval.digest.as_str().chars().take(DIGEST_CHARS).collect(),
            spoken(now.since(approval.requested_at_ms)),
            deadline(approval.deadline_ms),
        ],
        Question::Input(input) => vec![
            run,
            agent,
            input.input_id.clone(),
            "input".to_owned(),
            "-".to_owned(),
            render::one_line(&input.prompt),
            "-".to_owned(),
            spoken(now.since(input.requested_at_ms)),
            deadline(input.deadline_ms),
        ],
    }
}
