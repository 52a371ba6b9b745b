//! `errand dlq`: failed runs whose attempts are spent.

mod discard;
mod ls;
mod redrive;
mod show;

use errand_api::dead_letter::DeadLetter;
use errand_model::{RunId, Timestamp};
use errand_store::DeadLetterFilter;

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::place::RegistryOrServer;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List failed runs whose attempts are spent, newest first
    Ls(ls::Args),
    /// Show everything that a dead letter keeps: input, checkpoint, errors, steps, log
    Show(show::Args),
    /// Do dead letters again, each as a new run that goes on where the old one stopped
    Redrive(redrive::Args),
    /// Take dead letters off the list; their runs and records are kept
    Discard(discard::Args),
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::run(context, args).await,
        Command::Show(args) => show::run(context, args).await,
        Command::Redrive(args) => redrive::run(context, args).await,
        Command::Discard(args) => discard::run(context, args).await,
    }
}

/// Returns the runs that were named, or with `--all` all open dead letters, oldest first.
async fn chosen(
    place: &RegistryOrServer,
    runs: &[String],
    agent: Option<&String>,
) -> Result<Vec<RunId>, Failure> {
    if runs.is_empty() {
        let filter = DeadLetterFilter { agent: agent.cloned(), ..DeadLetterFilter::default() };
        let letters = place.all_dead_letters(&filter, None).await?;
        return Ok(letters.into_iter().rev().map(|letter| letter.run_id).collect());
    }
    let mut ids = Vec::new();
    for run in runs {
        ids.push(place.resolve_strictly(run).await?);
    }
    Ok(ids)
}

/// Returns the state of a dead letter, for people.
fn fate(letter: &DeadLetter, now: Timestamp) -> String {
    let Some(at) = letter.settled_at_ms else { return letter.state.clone() };
    let settled = format!("{} {}", letter.state, relative(at, now));
    match (&letter.redriven_as, &letter.discarded_by) {
        (Some(run_id), _) => format!("{settled} as {run_id}"),
        (None, Some(by)) => format!("{settled} by {by}"),
        (None, None) => settled,
    }
}
