//! `errand prune`: removes all runs that are over.

use std::time::Duration;

use errand_agent::Clock as _;
use errand_engine::garbage::{self, Released};
use errand_engine::remove::{plan_prune, remove};
use errand_model::Timestamp;
use errand_store::Namespaces;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::Remote;
use crate::render;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only runs that ended so long ago, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    older_than: Option<Duration>,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Parses an age; `0s` means any age.
fn age(text: &str) -> Result<Duration, String> {
    errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))
}

/// Removes runs that are over and prints their ids.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let Some(place) = context.place_if_any()? else { return Ok(0) };
    let now = errand_agent::SystemClock.now();
    let age = args.older_than.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(age).saturating_add(1));
    let engine = match place {
        RegistryOrServer::Here(engine) => engine,
        RegistryOrServer::There(remote) => {
            return there(context, &remote, before, args.dry_run).await;
        }
    };
    let plan = plan_prune(&engine, &Namespaces::All, before).await?;
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let mut released = Released::default();
    for stored in &plan.runs {
        if !args.dry_run {
            released.extend(remove(&engine, &stored.run.id).await?);
        }
        context.printer.line(stored.run.id.as_str())?;
    }
    context.printer.note(&format!("{} runs {verb}", plan.runs.len()));
    if !args.dry_run {
        let mut freed = garbage::free(&engine, released).await?;
        freed.add(garbage::collect(&engine, garbage::GRACE).await?);
        if freed.bytes > 0 {
            context.printer.note(&format!("{} freed", render::size(freed.bytes)));
        }
    }
    note_dead_letters(context, plan.dead_letters);
    Ok(0)
}

async fn there(
    context: &Context,
    remote: &Remote,
    before: Timestamp,
    dry_run: bool,
) -> Result<u8, Failure> {
    let pruned = remote.prune(before, dry_run).await?;
    for run_id in &pruned.run_ids {
        context.printer.line(run_id.as_str())?;
    }
    let verb = if dry_run { "would be removed" } else { "removed" };
    context.printer.note(&format!("{} runs {verb}", pruned.run_ids.len()));
    note_dead_letters(context, pruned.dead_letters);
    Ok(0)
}

fn note_dead_letters(context: &Context, count: usize) {
    if count > 0 {
        let noun = if count == 1 { "dead letter" } else { "dead letters" };
        let note = format!("{count} {noun} kept: `errand dlq` lists, redrives and discards them");
        context.printer.note(&note);
    }
}
