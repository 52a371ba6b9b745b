//! `errand sessions prune`: removes all unused sessions.

use std::time::Duration;

use errand_agent::Clock as _;
use errand_model::Timestamp;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only sessions that no run used for so long, such as 30d
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = age,
        required_unless_present_any = ["all", "dry_run"]
    )]
    older_than: Option<Duration>,
    /// All that no live run uses, however young
    #[arg(long, conflicts_with = "older_than")]
    all: bool,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Parses an age; `0s` means any age.
fn age(text: &str) -> Result<Duration, String> {
    errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))
}

/// Removes sessions that no live run uses, and prints their names.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let Some(place) = context.place_if_any()? else { return Ok(0) };
    let now = errand_agent::SystemClock.now().as_millis();
    let age = args.older_than.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let before = Timestamp::from_millis(now.saturating_sub(age));
    let mut count: u64 = 0;
    for session in place.all_sessions(Some(before)).await? {
        if session.live_runs > 0 {
            continue;
        }
        let session_id = session.session_id;
        if args.dry_run || place.prune_session(&session_id, before).await? {
            context.printer.line(&session_id)?;
            count += 1;
        }
    }
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    context.printer.note(&format!("{count} sessions {verb}"));
    Ok(0)
}
