//! `errand policy`: decisions of policies, those that were made and those that would be.

mod explain;
mod listed_tools;
mod test;

use clap::Subcommand;
use errand_model::event::PolicyDecided;
use errand_model::{Encoding, Event, Payload, RunId};

use super::output::blob_bytes;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Events read at once.
const PAGE: u32 = 500;
/// Longest call that is shown in full: a person reads it.
const SHOWN_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what policies decided in a run, and about which calls
    Explain(explain::Args),
    /// Show what a policy would have decided about recorded runs
    Test(test::Args),
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Explain(args) => explain::run(context, args).await,
        Command::Test(args) => test::run(context, args).await,
    }
}

/// Returns the whole journal of a run.
pub(super) async fn journal(
    place: &RegistryOrServer,
    run_id: &RunId,
) -> Result<Vec<Event>, Failure> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let page = place.events(run_id, after, PAGE).await?;
        let is_end = page.events.is_empty() || !page.has_more;
        all.extend(page.events);
        if is_end {
            return Ok(all);
        }
    }
}

/// Puts the call of a decision in the place of its blob, unless it is too long to be read.
pub(super) async fn put_call_back(
    place: &RegistryOrServer,
    run_id: &RunId,
    decided: &mut PolicyDecided,
) -> Result<(), Failure> {
    if let Some(Payload::Blob(blob)) = &decided.call
        && blob.encoding == Encoding::Json
        && blob.size_bytes <= SHOWN_BYTES
    {
        let bytes = blob_bytes(place, run_id, &blob.digest).await?;
        if let Ok(call) = serde_json::from_slice(&bytes) {
            decided.call = Some(Payload::Json(call));
        }
    }
    Ok(())
}
