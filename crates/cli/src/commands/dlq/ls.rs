//! `errand dlq ls`: list of dead letters.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::dead_letter::DeadLetter;
use errand_api::error_code::ErrorCode;
use errand_model::Timestamp;
use errand_store::DeadLetterFilter;

use super::fate;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render::one_line;

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// Only runs of that agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only runs whose last error has that code, such as `exit_nonzero`
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only runs that died at most so long ago, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = crate::commands::submit::duration)]
    since: Option<Duration>,
    /// Also those that were redriven or discarded
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Show at most this number, the newest
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Print them as a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists dead letters.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let letters = match context.place() {
        Ok(place) => {
            let filter = DeadLetterFilter {
                settled: args.all,
                agent: args.agent.clone(),
                code: args.code.clone(),
                since: args.since.map(ago),
                ..DeadLetterFilter::default()
            };
            place.all_dead_letters(&filter, args.last).await?
        }
        // Without a registry the list is empty: no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        context.printer.json(&letters)?;
    } else if args.quiet {
        for letter in &letters {
            context.printer.line(letter.run_id.as_str())?;
        }
    } else {
        context.printer.line(&table(&letters, args.all))?;
    }
    Ok(0)
}

/// Returns the moment that long ago.
fn ago(duration: Duration) -> Timestamp {
    let now = errand_agent::SystemClock.now().as_millis();
    let ago = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.saturating_sub(ago))
}

fn table(letters: &[DeadLetter], with_state: bool) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["RUN ID", "AGENT", "ATTEMPTS", "ERROR", "STEP", "DIED"];
    let is_mixed = with_state || letters.iter().any(|letter| letter.state != "open");
    if is_mixed {
        header.push("STATE");
    }
    table.set_header(header);
    for letter in letters {
        let mut row = vec![
            letter.run_id.to_string(),
            letter.agent.clone(),
            letter.attempts.to_string(),
            format!("{}: {}", letter.error.code, one_line(&letter.error.message)),
            one_line(letter.error.step.as_deref().unwrap_or("-")),
            relative(letter.dead_at_ms, now),
        ];
        if is_mixed {
            row.push(fate(letter, now));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
