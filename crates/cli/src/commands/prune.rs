//! `errand prune`: remove all runs that are over.

use std::time::Duration;

use errand_agent::Clock as _;
use errand_engine::remove::{plan_prune, remove};
use errand_model::Timestamp;

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only runs that ended so long ago, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    older_than: Option<Duration>,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// An age as people write it; `0s` is any.
fn age(text: &str) -> Result<Duration, String> {
    errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))
}

/// Removes runs that are over and prints their ids.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    if context.registry().is_none() {
        return Ok(0);
    }
    let engine = context.engine()?;
    let now = errand_agent::SystemClock.now();
    let age = args.older_than.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(age).saturating_add(1));
    let plan = plan_prune(&engine, before).await?;
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    for stored in &plan.runs {
        if !args.dry_run {
            remove(&engine, &stored.run.id).await?;
        }
        context.printer.line(stored.run.id.as_str())?;
    }
    context.printer.note(&format!("{} runs {verb}", plan.runs.len()));
    if plan.dead_letters > 0 {
        let (count, noun) = match plan.dead_letters {
            1 => (1, "dead letter"),
            many => (many, "dead letters"),
        };
        let note = format!("{count} {noun} kept: `errand dlq` lists, redrives and discards them");
        context.printer.note(&note);
    }
    Ok(0)
}
