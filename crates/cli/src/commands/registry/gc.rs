//! `errand registry gc`: garbage collection of a registry.

use std::time::Duration;

use errand_engine::garbage::{self, Freed};
use serde_json::json;

use crate::commands::database::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::size;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Artifacts, long payloads and packed agents are kept by their digests, and freed once no run, session,
registered agent or inventory names them. `errand rm` and `errand prune` do so by themselves where no
other errand uses the registry, and a server every half hour. What nothing names stays for the grace
period: another process may be about to name it.

Examples:
  errand registry gc --dry-run
  errand registry gc --grace 0s                       nothing else runs here: everything, now
  errand registry gc --database postgres://…          a server's database")]
pub(crate) struct Args {
    /// Keep what was put, built or named within that time; less than 10m only while no other errand
    /// uses the registry
    #[arg(long, value_name = "DURATION", value_parser = grace, default_value = "1h")]
    grace: Duration,
    /// Only say what would be freed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    database: Database,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn grace(text: &str) -> Result<Duration, String> {
    errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))
}

/// Frees garbage and prints the amounts.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let engine = args.database.engine(context)?;
    let freed = if args.dry_run {
        garbage::unnamed(&engine, args.grace).await?
    } else {
        garbage::collect(&engine, args.grace).await?
    };
    let Freed { blobs, parcels, bytes, young_bytes } = freed;
    if args.json {
        context.printer.json(&json!({
            "schema": 1, "dry_run": args.dry_run, "blobs": blobs, "parcels": parcels,
            "bytes": bytes, "young_bytes": young_bytes,
        }))?;
        return Ok(0);
    }
    let verb = if args.dry_run { "would be freed" } else { "freed" };
    let noun =
        |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let what = format!("{}, {}", noun(blobs, "blob"), noun(parcels, "parcel"));
    context.printer.line(&format!("{} {verb} ({what})", size(bytes)))?;
    if young_bytes > 0 {
        context.printer.note(&format!(
            "{} that nothing names are younger than the grace period, and stay for now",
            size(young_bytes)
        ));
    }
    Ok(0)
}
