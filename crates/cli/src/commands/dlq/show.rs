//! `errand dlq show`: details of a dead letter.

use errand_agent::Clock as _;
use errand_api::dead_letter::DeadLetterDetail;
use errand_api::record::AttemptRecord;
use serde_json::Value;

use super::fate;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{relative, spoken};
use crate::render::visible;

/// Shown lines of the log by default.
const LOG_LINES: usize = 20;
/// Shown characters of a document.
const SHOWN_CHARS: usize = 2_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, a unique part of it, or its name
    run: String,
    /// Number of lines from the end of its log
    #[arg(short = 'n', long, value_name = "N", default_value_t = LOG_LINES)]
    tail: usize,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Shows a dead letter.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let kept = place.dead_letter(&run_id, args.tail).await?;
    if args.json {
        context.printer.json(&kept)?;
    } else {
        context.printer.line(&text(&kept))?;
    }
    Ok(0)
}

fn text(kept: &DeadLetterDetail) -> String {
    let letter = &kept.letter;
    let now = errand_agent::SystemClock.now();
    let mut lines = vec![
        format!("run:        {}", letter.run_id),
        format!("agent:      {}@{}", letter.agent, kept.agent_version),
        format!("died:       {}", relative(letter.dead_at_ms, now)),
        format!("state:      {}", fate(letter, now)),
        format!("error:      {}: {}", letter.error.code, visible(&letter.error.message)),
    ];
    if let Some(step) = &letter.error.step {
        lines.push(format!("step:       {}", visible(step)));
    }
    if let Some(tail) = &letter.error.stderr_tail {
        lines.push("stderr:".to_owned());
        lines.extend(tail.lines().map(|line| {
            format!("  {}", crate::render::at_most(&line.replace('\t', "    "), SHOWN_CHARS))
        }));
    }
    lines.push(format!("input:      {}", shown(&kept.input)));
    let saved = kept.checkpoint.as_ref().map_or_else(|| "none".to_owned(), shown);
    lines.push(format!("checkpoint: {saved}"));
    lines.push(format!("attempts:   {}", kept.attempt_history.len()));
    lines.extend(kept.attempt_history.iter().map(|attempt| attempt_line(attempt, now)));
    lines.push(format!("completed:  {} steps", kept.completed_steps.len()));
    lines.extend(kept.completed_steps.iter().map(|key| format!("  {}", visible(key))));
    if !kept.unfinished_steps.is_empty() {
        lines.push(format!("unfinished: {}", visible(&kept.unfinished_steps.join(", "))));
    }
    lines.push(format!("log:        {}", kept.log_path));
    lines.extend(kept.log_tail.iter().map(|line| format!("  {}", visible(line))));
    lines.join("\n")
}

fn attempt_line(attempt: &AttemptRecord, now: errand_model::Timestamp) -> String {
    let took = attempt.stopped_at_ms.map_or_else(String::new, |at| {
        format!(" after {}", spoken(at.since(attempt.started_at_ms)))
    });
    let began = relative(attempt.started_at_ms, now);
    let how = match &attempt.error {
        Some(error) => format!("{}: {}", error.code, visible(&error.message)),
        None => attempt.status.clone(),
    };
    format!("  {}  began {began}, {}{took}: {how}", attempt.number, attempt.status)
}

/// Returns a document in one line; a long one is cut.
fn shown(document: &Value) -> String {
    let text = document.to_string();
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    text.chars().take(SHOWN_CHARS).chain("… (--json shows all of it)".chars()).collect()
}
