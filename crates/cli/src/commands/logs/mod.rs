//! `errand logs`: output of a run, of a coordinator's descendants, or of a service's wakes.

mod family;
mod merged;
mod screen;
mod source;

use std::time::Duration;

use errand_agent::Clock as _;
use errand_agent::log::{Counted, Followed, Query};
use errand_api::error_code::ErrorCode;
use errand_engine::operations::{LogFile, LogSelection};
use errand_model::Timestamp;
use errand_model::event::RunKind;

use crate::context::Context;
use crate::failure::Failure;

pub(super) use screen::Screen;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Of a coordinator it is what all its children printed, however deep: one log by time, each line behind
the key of its step. Of a service it is what woke it, and what its wakes printed: each line
behind the reason and the end of the id of its wake.

Examples:
  errand logs -f review
  errand logs report --tail 100         the last lines of all children together
  errand logs report --own              what errand itself noted about the coordinator")]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// The run: its id, a unique part of it, or its name
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Number of lines from the end; all by default
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,
    /// Only what was printed since: a duration such as 10m, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only what was printed in that attempt
    #[arg(long, value_name = "N", conflicts_with_all = ["tail", "since"])]
    attempt: Option<u32>,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Show errand's own lines about the run too
    #[arg(long)]
    system: bool,
    /// Of a coordinator or a service, show only its own log, without those of its children or wakes
    #[arg(long)]
    own: bool,
}

/// Lower bound of the time of lines.
#[derive(Clone, Copy, Debug)]
enum Since {
    Ago(Duration),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = errand_model::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Since::At(Timestamp::from_millis(time.timestamp_millis())))
        .map_err(|_| {
            "write a duration such as 10m, or a time such as 2026-01-31T12:00:00Z".to_owned()
        })
}

/// Shows a log.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let since = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => {
            let now = errand_agent::SystemClock.now().as_millis();
            Timestamp::from_millis(now - i64::try_from(ago.as_millis()).unwrap_or(now))
        }
    });
    let record = place.record(&run_id).await?;
    let (kind, attempts) = (record.kind, record.attempt);
    let coordinates = record.coordinator.is_some();
    let is_service = kind == RunKind::Service;
    let is_family = (coordinates || is_service) && !args.own;
    if let Some(number) =
        args.attempt.filter(|number| !is_family && !(1..=attempts).contains(number))
    {
        let message = format!("run {run_id} has no attempt {number}");
        return Err(Failure::new(ErrorCode::FilterInvalid, message)
            .hint(format!("it had {attempts} so far: `errand inspect-run {run_id}` shows them")));
    }
    // Neither a coordinator nor a service has an agent that prints.
    let is_silent = (coordinates || is_service) && args.own;
    let args = Args { system: args.system || is_silent, ..args };
    let counted = if args.system { Counted::All } else { Counted::Output };
    let query = Query { tail: args.tail, since, counted };
    if is_family {
        return merged::show(context, &place, &run_id, (&args, query, is_service)).await;
    }
    let mut screen = Screen::new(&args);
    let query = LogSelection { lines: query, follow: args.follow };
    let mut show = |line: Followed<'_>| screen.take(line).map_err(|error| Failure::stdout(&error));
    let log = place.log(&run_id, query, &mut show).await?;
    if !screen.has_shown && !args.follow && log == LogFile::Unknown {
        context.printer.note(&format!("run {run_id} has no log"));
    }
    Ok(0)
}
