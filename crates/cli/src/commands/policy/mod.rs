//! `errand policy`: decisions of policies, those that were made and those that would be.

mod explain;
mod test;

use clap::Subcommand;
use errand_model::{Event, RunId};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Events read at once.
const PAGE: u32 = 500;

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
