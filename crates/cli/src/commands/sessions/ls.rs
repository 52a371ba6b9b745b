//! `errand sessions ls`: list of sessions.

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::error_code::ErrorCode;
use errand_api::session::{SESSION_SCHEMA, SessionList, SessionSummary};

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
    /// Print the list as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// Lists sessions.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let found = match context.place() {
        Ok(place) => place.all_sessions(None).await?,
        // No registry, or one that its first run is about to make: no sessions, and no failure.
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        let (schema, next_cursor) = (SESSION_SCHEMA, None);
        context.printer.json(&SessionList { schema, sessions: found, next_cursor })?;
    } else if args.quiet {
        for session in &found {
            context.printer.line(&session.session_id)?;
        }
    } else {
        context.printer.line(&table(&found))?;
    }
    Ok(0)
}

fn table(sessions: &[SessionSummary]) -> String {
    let now = errand_agent::SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SESSION", "MESSAGES", "RESULTS", "REVISION", "RUNS", "LIVE", "USED"]);
    for session in sessions {
        table.add_row([
            render::one_line(&session.session_id),
            session.messages.to_string(),
            session.results.to_string(),
            session.revision.to_string(),
            session.runs.to_string(),
            session.live_runs.to_string(),
            relative(session.used_at_ms, now),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
