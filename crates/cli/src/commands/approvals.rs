//! `errand approvals`: questions to people, across all runs.

mod show;

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use errand_api::error_code::ErrorCode;
use errand_api::question::{OfRun, QUESTIONS_SCHEMA, QuestionList};
use errand_api::record::{RecordApproval, RecordInput};
use errand_model::Timestamp;
use errand_store::Questions;
use unicode_width::UnicodeWidthStr as _;

use super::trace::terminal_width;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{relative, spoken};
use crate::render;

/// Shown characters of a digest: enough to distinguish it from others at a glance.
const DIGEST_CHARS: usize = "sha256:".len() + 12;

/// Place of the column SUMMARY.
const SUMMARY: usize = 5;
/// Shown characters of a summary even where the terminal is too narrow.
const LEAST_SUMMARY: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List open approvals and questions, the longest waiting first; or all with -a
    Ls(Args),
    /// Show an approval or a question in full: the call, the reason, and how to answer
    Show(show::Args),
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
    match command {
        Command::Ls(args) => list(context, &args).await,
        Command::Show(args) => show::run(context, &args).await,
    }
}

async fn list(context: &Context, args: &Args) -> Result<u8, Failure> {
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
        context.printer.line(&table(&list, args.all, terminal_width()))?;
    }
    Ok(0)
}

/// Returns the table. Summaries are cut to fit into `width`; without one, nothing is cut.
fn table(list: &QuestionList, all: bool, width: Option<usize>) -> String {
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
    let mut all_cells = Vec::new();
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
        all_cells.push(cells);
    }
    let summary = if is_of_a_step { SUMMARY + 1 } else { SUMMARY };
    if let Some(width) = width {
        fit(&header, &mut all_cells, (summary, width));
    }
    table.set_header(header);
    table.add_rows(all_cells);
    render::lines(&mut table)
}

/// Cuts a column so that the table is not wider than `width`, as far as the column has room.
fn fit(header: &[&str], rows: &mut [Vec<String>], (cut, width): (usize, usize)) {
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| Some(row.get(column)?.width()));
        cells.max().unwrap_or(0).max(header[column].width()) + 2
    };
    let others: usize = (0..header.len()).filter(|column| *column != cut).map(longest).sum();
    let room = width.saturating_sub(others + 1).max(LEAST_SUMMARY);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(cut)) {
        *cell = render::at_most(cell, room);
    }
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
        render::visible(&asked.action),
        render::visible(&asked.target),
        asked.summary.as_deref().map_or("-".to_owned(), render::visible),
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
        render::visible(&asked.prompt),
        "-".to_owned(),
        spoken(now.since(asked.requested_at_ms)),
        deadline(asked.deadline_ms, now),
    ]
}
